#!/usr/bin/env bats
# What goes wrong while a command runs, or before: what was recorded is on disk or one sentence says why not,
# and the command does what it would have done without us.

bats_require_minimum_version 1.5.0
load live.bash
PYTHON=/usr/bin/python3

setup()
{
	live_setup
}

# alike COMMAND...: says and returns the same with us and without, and we see it from start to end.
alike()
{
	"$@" >want 2>want.err </dev/null && want=0 || want=$?
	profile -q -e cpu-clock -- "$@" >got 2>got.err </dev/null && got=0 || got=$?
	[ "$got" = "$want" ] || { echo "$*: status $got, not $want: $(cat got.err)" >&2; return 1; }
	diff want got
	diff want.err got.err
}

# refuses COMMAND...: the status is ours, and standard error one sentence.
refuses()
{
	status=0
	"$@" >out.txt 2>err.txt </dev/null || status=$?
	[ "$status" = 125 ] || { echo "status $status" >&2; return 1; }
	[ "$(wc -l <err.txt)" = 1 ] || { cat err.txt >&2; return 1; }
}

# halves FOLDED: as much before the fault as after it, give or take what a machine's host takes of each tenth of a
# second
halves()
{
	within "$(folded_share "$1" ';burn_before;')" 20 75
	within "$(folded_share "$1" ';burn_after;')" 20 75
}

@test "programs close what they have, change who they are and see, forbid themselves most, stop" {
	local modes="close-all clear-environment filter-calls block-signals stop"
	[ "$(id -u)" -ne 0 ] || modes+=" change-user change-root"
	for mode in $modes; do
		rm -rf out
		alike fault "$mode" --seconds 0.1
		halves out/fault.cpu-clock.folded
	done
}

@test "a program that asks to be traced by its parent goes on, and is seen to its end" {
	run -3 profile -q -e cpu-clock -- fault trace-me --seconds 0.1
	[ "$output" = "done" ]
	halves out/fault.cpu-clock.folded
}

@test "10,000 threads at once" {
	alike fault many-threads --seconds 0.1
	within "$(number '.events[0] | (.weight + .unsampled) / .counted')" 0.999 1.001
	within "$(folded_share out/fault.cpu-clock.folded ';wait_and_burn;|;many_threads;|;burn_|unsampled')" 80 100
	[ "$(number .lost_sideband)" = 0 ]
}

@test "thousands of programs a second" {
	echo 'int main(void) { return 3; }' >tiny.c
	gcc -O1 -static tiny.c -o tiny || skip "gcc cannot make static programs here"
	alike fault exec-many --seconds 0.3
	within "$(folded_share out/fault.cpu-clock.folded '^fault;')" 40 100
	[ "$(number .lost_sideband)" = 0 ]
}

@test "Python does all that, too" {
	python_setup
	cat >faults.py <<-'END'
		import ctypes, os, signal, sys, time
		def burn():
		    end = time.process_time() + 0.15
		    while time.process_time() < end: sum(range(1000))
		def close_all(): os.closerange(0, 4096)
		def block_signals(): signal.pthread_sigmask(signal.SIG_BLOCK, range(1, 64))
		def change_user(): os.setgroups([]); os.setresgid(65534, 65534, 65534); os.setresuid(65534, 65534, 65534)
		def trace_me(): ctypes.CDLL(None).ptrace(0, 0, 0, 0)
		print(sys.argv[1], flush=True)
		burn()
		globals()[sys.argv[1]]()
		burn()
		os._exit(3)
	END
	local modes="close_all block_signals trace_me"
	[ "$(id -u)" -ne 0 ] || modes+=" change_user"
	for mode in $modes; do
		rm -rf out
		alike "$PYTHON" faults.py "$mode"
		within "$(folded_share out/faults.cpu-clock.folded ';burn \\(')" 75 100
	done
}

@test "a debugger is not stopped by our signals to the Python that it runs" {
	python_setup
	alike gdb -batch -nx -ex run -ex 'info program' --args "$PYTHON" -c 'sum(range(10 ** 7))' || {
		grep -v 'process [0-9]' want >w
		grep -v 'process [0-9]' got | diff w -
	}
	number '.notes[].text' | grep -q 'no Python frames: it is traced'
}

@test "who kills the recorder leaves the command alone, and no file but the recording so far" {
	for command in "fault block-signals" "$PYTHON -c 'sum(range(60 * 10 ** 6)); exit(3)'"; do
		rm -rf out status
		"$PMUFLAME" -q -F 2000 -e cpu-clock --raw out/raw.data -o out/ -- \
			sh -c "$command >said; echo \$? >status" &
		for _ in $(seq 100); do
			! compgen -G 'out/raw.data.*' >/dev/null || break
			sleep 0.1
		done
		kill -KILL $!
		wait $! || true
		[[ "$(ls -A out)" = raw.data.* ]]
		for _ in $(seq 100); do
			[ ! -s status ] || break
			sleep 0.1
		done
		[ "$(cat status)" = 3 ]
	done
}

@test "who kills the command gets its profile" {
	run -137 profile -q -e cpu-clock -- edge self-kill --seconds 0.1
	[ -s out/edge.cpu-clock.svg ]
	number '.notes[].text' | grep -q 'ended by signal 9'
}

@test "a disk that is full: one sentence, no part of a file, and what fits" {
	[ "$(id -u)" -eq 0 ] || skip "only root can mount a small file system"
	mkdir small
	# shellcheck disable=SC2016 # for the inner shells
	unshare -m sh -c 'mount -t tmpfs -o size=32k small small || exit 77
		"$0" -q -e cpu-clock -o small/x -- sh -c "fault block-signals >/dev/null; cat /dev/zero >small/fill"
		status=$?
		rm small/fill
		ls small
		exit $status' "$PMUFLAME" >left 2>err && status=0 || status=$?
	[ "$status" != 77 ] || skip "no tmpfs can be mounted here"
	[ "$status" = 125 ]
	grep -q "cannot write 'small/x.cpu-clock.svg': not all of it could be written; is the disk full" err
	[ ! -s left ]
}

@test "files that may not grow: the same, not the signal" {
	(
		ulimit -f 8
		run -125 "$PMUFLAME" -q -e cpu-clock -o out/ -- sh -c 'fault block-signals; exit 3'
		[[ $output == *"cannot write 'out/sh.cpu-clock.svg'"*"ulimit -f"* ]]
		[ "$(ls -A out)" = sh.pb.gz ]
		run -125 "$PMUFLAME" render -o again/ out/sh.pb.gz
		[[ $output == *"cannot write 'again/sh.cpu-clock.svg'"*"ulimit -f"* ]]
	)
}

@test "a folder that is gone meanwhile" {
	mkdir gone
	refuses "$PMUFLAME" -q -e cpu-clock -o gone/x -- rm -r gone
	grep -q "cannot write 'gone/x.cpu-clock.svg': No such file" err.txt
}

@test "few descriptors: a profile, or a sentence" {
	for n in 8 12 14 16 20 32; do
		rm -rf out
		refuses prlimit --nofile=$n:$n "$PMUFLAME" -q -e cpu-clock -o out/ -- sh -c 'fault block-signals; exit 3' \
			2>why || { [ "$status" = 3 ] && [ -s out/sh.cpu-clock.svg ]; } || { cat why >&2; return 1; }
	done
	[ -s out/sh.cpu-clock.svg ]
}

# Sanitizers take terabytes of address space for themselves.
need_small_recorder()
{
	prlimit --as=$((1 << 30)) "$PMUFLAME" --version >version 2>&1 ||
		skip "this build does not start in 1 GiB of address space"
}

# What it links takes more or less of that: from too little to start with to plenty.
@test "little memory: names, or addresses, or a sentence" {
	need_small_recorder
	local drawn=0
	for mib in 16 24 40 64 192; do
		rm -rf out
		if refuses prlimit --as=$((mib << 20)):unlimited "$PMUFLAME" -q -e cpu-clock -o out/ -- \
			prlimit --as=unlimited: sh -c 'fault block-signals; exit 3' 2>why; then
			grep -q 'emory' err.txt || [ "$drawn" = 0 ]
			continue
		fi
		[ "$status" = 3 ] || cat why err.txt >&2
		[ "$status" = 3 ]
		[ -s out/prlimit.cpu-clock.svg ]
		drawn=$((drawn + 1))
	done
	[ "$drawn" -ge 3 ]
	grep -q burn_before out/prlimit.cpu-clock.svg
}

@test "memory that runs out: what was recorded until then is on disk, and the command ends as ever" {
	need_small_recorder
	run -3 prlimit --as=$((36 << 20)):unlimited "$PMUFLAME" --summary s.json -o out/ --format svg,folded -F 9973 \
		-e cpu-clock -- prlimit --as=unlimited: fault many-stacks --seconds 1
	number '.notes[].text' | grep -q 'memory ran out .* after the start: what came later was not recorded'
	[ -s out/prlimit.cpu-clock.svg ]
	within "$(folded_share out/prlimit.cpu-clock.folded ';burn_before;|go_|\[')" 95 100
	within "$(number '.events[0].samples')" 500 50000
}
