#!/usr/bin/env bats
# Python frames of processes that run already, by the BPF program: those that the interpreter itself reports.

bats_require_minimum_version 1.5.0
load live.bash

WORKLOADS=${srcdir:?}/tests/workloads
PYTHON=/usr/bin/python3

setup()
{
	[ -x "$PYTHON" ] || skip "there is no $PYTHON"
	live_setup
	[ ! -e "${BATS_FILE_TMPDIR:?}/bpf" ] || return 0
	profile -q --python yes -e cpu-clock -p $$ -- true 2>why || skip "no BPF program here: $(cat why)"
	rm -rf out
	touch "$BATS_FILE_TMPDIR/bpf"
}

teardown()
{
	exec 8>&- 9<&-
	[ -z "${STARTED:-}" ] || kill "$STARTED" 2>why || true
}

# attach OPTIONS... -- PYTHON... SCRIPT ARG...: as profile, but SCRIPT begins when it is attached to. Who runs
# it, $STARTED, has one child if $CHILD is set, which is attached to instead.
attach()
{
	local options=() target
	while [ "$1" != -- ]; do
		options+=("$1")
		shift
	done
	shift
	rm -rf go printed out
	mkfifo go printed
	"$@" <go >printed &
	STARTED=$!
	exec 8>go 9<printed
	read -r _ <&9
	target=$STARTED
	[ -z "${CHILD:-}" ] || target=$(pgrep -P "$STARTED")
	profile -q --python yes --stack-bytes 8192 "${options[@]}" -p "$target" -- sh -c 'echo go >&8; cat <&9 >/dev/null'
	exec 8>&- 9<&-
	wait "$STARTED"
	STARTED=
}

python_note()
{
	number '.notes[].text | select(startswith("Python 3"))'
}

# The share of the weight in file $1 that has each Python line, "SHARE LABEL" from 1 % on.
line_shares()
{
	awk '{ w = $NF; all += w; n = split(substr($0, 1, length($0) - length($NF) - 1), f, ";"); delete seen
		for (i = 1; i <= n; i++) if (f[i] ~ /\.py:[0-9]+\)$/ && !(f[i] in seen)) { seen[f[i]]; by[f[i]] += w } }
		END { for (l in by) if (by[l] >= all / 100) printf "%.2f %s\n", 100 * by[l] / all, l }' "$1" | sort -k 2
}

@test "frames equal what the interpreter itself reports, each of them" {
	local python
	for python in $(interpreters); do
		echo "# $python"
		attach -e page-faults@1 -- "$python" "$WORKLOADS/held.py" "$WORKLOADS/pyframes.py" expected
		[ "$(number '.events[0].lost')" = 0 ] || continue
		"$PYTHON" "${srcdir:?}/tests/compare_pyframes.py" expected out/held.page-faults.folded
	done
}

@test "a process in a pid namespace of its own has the same frames" {
	unshare --pid --mount --fork --mount-proc true 2>why || skip "no namespaces can be made here: $(cat why)"
	CHILD=1 attach -e page-faults@1 -- unshare --pid --mount --fork --mount-proc \
		"$PYTHON" "$WORKLOADS/held.py" "$WORKLOADS/pyframes.py" expected
	[ "$(number '.events[0].lost')" = 0 ] || skip "the kernel had no room for some samples"
	"$PYTHON" "${srcdir:?}/tests/compare_pyframes.py" expected out/held.page-faults.folded
}

@test "shares of functions and lines are right within 2 points, forks and threads included" {
	attach -F 5003 -e cpu-clock -- "$PYTHON" "$WORKLOADS/held.py" "$WORKLOADS/pyshares.py" result 2
	"$PYTHON" "${srcdir:?}/tests/compare_pyshares.py" 2 result out/held.cpu-clock.folded "$WORKLOADS/pyshares.py"
	within "$(number '.events[0] | (.weight + .unsampled) / .counted')" 0.999 1.001
	within "$(python_note | sed 's/.*, \([0-9.]*\)% of whose native frames agree.*/\1/')" 97 100
}

@test "a DataFrame loop has the lines and shares that it has when it is launched" {
	"$PYTHON" -c 'import pandas' 2>/dev/null || skip "pandas is not installed"
	profile -q --python yes -F 7001 -e cpu-clock --stack-bytes 8192 -- \
		"$PYTHON" "$WORKLOADS/held.py" "$WORKLOADS/iterrows.py" 2 <<<go >/dev/null
	# Not what is imported, which takes as long as it takes: the loop runs for two seconds of CPU time.
	in_loop() { grep '(iterrows.py:2[0-9])' out/held.cpu-clock.folded; }
	line_shares <(in_loop) >launched
	attach -F 7001 -e cpu-clock -- "$PYTHON" "$WORKLOADS/held.py" "$WORKLOADS/iterrows.py" 2
	line_shares <(in_loop) >attached
	grep -q ' DataFrame.iterrows (frame.py:' attached
	# A line that one of them has below 1 %, the other may have above. Two launched runs were seen to differ by
	# 2.6 points where others use the processor's caches; what is exact is asked of pyshares.py above.
	join -j 2 -a 1 -a 2 -e 0.5 -o 1.1,2.1,0 -t '~' <(sed 's/ /~/' launched) <(sed 's/ /~/' attached) |
		awk -F '~' '{ d = $1 - $2; if (d > 5 || d < -5) { print; bad = 1 } n++ } END { exit bad || n < 10 }'
}

@test "sub-interpreters stand on their callers" {
	local python found=
	cat >sub.py <<-'END'
		import time
		try: import _interpreters as interpreters
		except ImportError: import _xxsubinterpreters as interpreters
		code = """
		import time
		def burn():
		    end = time.process_time() + 0.3
		    while time.process_time() < end: pass
		def outer(): sorted([1], key=lambda x: burn())
		outer()
		"""
		def run(): interpreters.run_string(one, code)
		one = interpreters.create()
		run()
		interpreters.destroy(one)
	END
	for python in $(interpreters); do
		"$python" -c 'import sys; sys.exit(sys.version_info < (3, 12))' || continue
		echo "# $python"
		found=1
		attach -F 1999 -e cpu-clock -- "$python" "$WORKLOADS/held.py" sub.py
		within "$(folded_share out/held.cpu-clock.folded \
			';run .sub.py:12[)];.*;outer .<s[a-z]*>:6[)];.*outer.<locals>.<lambda> .<s[a-z]*>:6[)];.*burn .<s[a-z]*>:5[)]')" 50 100
	done
	[ -n "$found" ] || skip "no CPython from 3.12 is installed"
}

@test "a program that a Python executes is none any more, and an interval has names of its own" {
	cat >exec.py <<-'END'
		import os
		os.execvp("sh", ["sh", "-c", "i=0; while [ $i -lt 200000 ]; do i=$((i+1)); done"])
	END
	attach -F 1999 -e cpu-clock -- "$PYTHON" "$WORKLOADS/held.py" exec.py
	run ! grep -E '^sh;.*\.py' out/held.cpu-clock.folded
	grep -q '^sh;' out/held.cpu-clock.folded
	printf 'import time\ndef burn():\n    while time.process_time() < 1.5: pass\nburn()\n' >burn.py
	copied_options
	attach --rotate 1 "${COPIED[@]}" -F 1999 -e cpu-clock -- "$PYTHON" "$WORKLOADS/held.py" burn.py
	for file in out/held.2*.folded; do
		within "$(folded_share "$file" ';burn .burn.py:3[)]')" 50 100
	done
}

@test "a stack of more than 1,024 frames is cut, and the ledger says so" {
	cat >deep.py <<-'END'
		import sys, time
		sys.setrecursionlimit(5000)
		def deep(n):
		    if n: return deep(n - 1)
		    while time.process_time() < end: pass
		end = time.process_time() + 0.2
		deep(900)
		end = time.process_time() + 0.2
		deep(3000)
	END
	attach -F 1999 -e cpu-clock -- "$PYTHON" "$WORKLOADS/held.py" deep.py
	awk '{ seen[gsub(/;deep .deep.py:4[)]/, "")] } END { exit !(900 in seen && 1023 in seen) }' out/held.cpu-clock.folded
	number '.notes[].text' | grep -q 'samples have more than 1024 Python frames'
}

@test "code that is new all at once gets its names one after the other, and the ledger says so" {
	cat >wide.py <<-'END'
		import time
		N, lines = 30, "        n = 1 if n else 2\n" * 1500
		def last(n):
		    while time.process_time() < end: pass
		f = {"f30": last}
		for i in range(N):
		    exec(f"def f{i}(n):\n    if n:\n{lines}    f{i + 1}(n)\n", f)
		end = time.process_time() + 1
		f["f0"](0)
	END
	attach -F 999 -e cpu-clock -- "$PYTHON" "$WORKLOADS/held.py" wide.py
	within "$(folded_share out/held.cpu-clock.folded ';f0 .*;f15 .*;f29 .*;last ')" 50 100
	number '.notes[].text' | grep -q 'more code was new in them than is told at once'
}
