#!/usr/bin/env bats
# Programs of other languages and of the kernel: at least 99 % of their samples reach the root of their
# stack, and nearly all of their frames have names. docs/languages.md has what was measured once.

setup()
{
	load live.bash
	live_setup
}

# whole COMMAND...: profile it; 99 % of the samples reach a root, 99 % of the frames have names.
whole()
{
	profile -q -F 2000 -e cpu-clock -- "$@"
	jq -c '.notes, (.events[0] | del(.functions))' s.json # shown if it fails
	jq -e '.events[0] | .samples >= 300 and .rooted_stacks + .joined_stacks >= 0.99 * .samples and
		.unresolved_frames <= 0.01 * .frames' s.json
}

# go_build NAME FLAGS...: the Go workload, by a Go without its own ideas of where to keep things.
go_build()
{
	command -v go >/dev/null || skip "go is not installed"
	GOCACHE="$BATS_RUN_TMPDIR/go" GOTOOLCHAIN=local go build -o "$1" "${@:2}" \
		"${srcdir:?}/tests/workloads/goroutines.go"
}

@test "Go: goroutines, growing stacks, collected garbage" {
	go_build goroutines
	whole ./goroutines 1
	# A goroutine begins in goexit, and its callers are whole down to there.
	within "$(folded_share out/goroutines.cpu-clock.folded \
		'^goroutines;runtime.goexit.abi0;main.main.[^;]*;main.work;.*main.insert')" 5 100
	within "$(folded_share out/goroutines.cpu-clock.folded \
		'main.work;main.insert;main.insert;main.insert')" 5 100
	# What the runtime does for it on another stack is its callees' work.
	within "$(folded_share out/goroutines.cpu-clock.folded \
		'main.work;.*;runtime.systemstack[^;]*;')" 0.5 100
	within "$(folded_share out/goroutines.cpu-clock.folded '^goroutines;runtime.systemstack')" 0 3
}

@test "Go, stripped: names and stacks from its own table" {
	go_build stripped -ldflags "-s -w"
	run readelf --wide -s stripped
	[[ $output != *main.insert* ]]
	whole ./stripped 1
	within "$(folded_share out/stripped.cpu-clock.folded \
		'^stripped;runtime.goexit;main.main.[^;]*;main.work;.*main.insert')" 5 100
}

@test "Rust: generics, closures, caught panics" {
	command -v rustc >/dev/null || skip "rustc is not installed"
	rustc -O -o closures "${srcdir:?}/tests/workloads/closures.rs"
	whole ./closures 1
	within "$(folded_share out/closures.cpu-clock.folded 'closures::work;.*Root as closures::Cost>::cost')" 1 100
}

@test "a 32-bit program" {
	[ "$(uname -m)" = x86_64 ] || skip "$(uname -m) has other 32-bit programs"
	gcc -m32 -nostdlib -static -no-pie -fno-pie -ffreestanding -O2 -fomit-frame-pointer \
		-fasynchronous-unwind-tables -fno-optimize-sibling-calls -fno-stack-protector \
		"${srcdir:?}/tests/workloads/narrow.c" -o narrow || skip "gcc makes no 32-bit programs"
	run ./narrow
	[ "$status" -eq 0 ] || skip "this kernel runs no 32-bit programs"
	whole ./narrow
	within "$(folded_share out/narrow.cpu-clock.folded \
		'^narrow;_start;narrow_main;narrow_descend;.*narrow_vla;narrow_leaf')" 60 100
}

@test "BPF programs, the second where the first one was" {
	bpf --seconds 0.01 2>why || skip "$(cat why)"
	profile -q -F 2000 -e cpu-clock -- bpf --seconds 1
	jq -e '.events[0].exclude_kernel == false' s.json || skip "the kernel may not be sampled"
	for name in pmf_first pmf_second; do
		within "$(jq --arg n "$name" '[.events[0].functions[] | select(.module == "[bpf]") |
			select(.name | test("^bpf_prog_[0-9a-f]{16}_" + $n + "$")) | .samples] |
			add // 0' s.json)" 100 10000
	done
	# The same from a recording, where perf tells of them.
	command -v perf >/dev/null || return 0
	perf record -q -e cpu-clock -F 2000 -g -o perf.data bpf --seconds 0.5 >/dev/null
	"$PMUFLAME" render --format folded -o again/ perf.data
	within "$(folded_share again/bpf.cpu-clock.folded ';bpf_prog_[0-9a-f]+_pmf_first')" 10 90
	within "$(folded_share again/bpf.cpu-clock.folded ';bpf_prog_[0-9a-f]+_pmf_second')" 10 90
}
