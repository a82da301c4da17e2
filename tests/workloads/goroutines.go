// Goroutines with deep and growing stacks, garbage, generics, closures and recovered panics.
package main

import (
	"os"
	"sort"
	"strconv"
	"sync"
	"time"
)

type node struct {
	left, right *node
	key         uint32
}

//go:noinline
func insert(n *node, key uint32) *node {
	if n == nil {
		return &node{key: key}
	}
	if key < n.key {
		n.left = insert(n.left, key)
	} else {
		n.right = insert(n.right, key)
	}
	return n
}

//go:noinline
func grow(depth int, frame [64]byte) int {
	if depth == 0 {
		return int(frame[3])
	}
	frame[depth%64]++
	return grow(depth-1, frame) + int(frame[0])
}

//go:noinline
func count[K comparable, V any](values []V, key func(V) K) map[K]int {
	counts := map[K]int{}
	for _, v := range values {
		counts[key(v)]++
	}
	return counts
}

//go:noinline
func outOfRange(values []string) {
	defer func() { _ = recover() }()
	_ = values[len(values)]
}

func work(seed uint32, end time.Time, done *sync.WaitGroup) {
	defer done.Done()
	result := make(chan int)
	for time.Now().Before(end) {
		var root *node
		var words []string
		for i := 0; i < 1000; i++ {
			seed = seed*1664525 + 1013904223
			root = insert(root, seed>>8)
			if i%4 == 0 {
				words = append(words, strconv.Itoa(int(seed)))
			}
		}
		go func() { result <- grow(300, [64]byte{}) }()
		<-result
		sort.Slice(words, func(a, b int) bool { return words[a] < words[b] })
		count(words, func(s string) byte { return s[0] })
		outOfRange(words)
	}
}

func main() {
	seconds, err := strconv.ParseFloat(os.Args[1], 64)
	if err != nil {
		panic(err)
	}
	var done sync.WaitGroup
	end := time.Now().Add(time.Duration(seconds * float64(time.Second)))
	for i := uint32(0); i < 4; i++ {
		done.Add(1)
		go work(i, end, &done)
	}
	done.Wait()
}
