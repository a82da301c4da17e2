#!/usr/bin/env bats
# Python frames of processes that run already, without privileges: an interpreter that is asked to load
# the agent. Debian's shows by a library what CPython 3.14 shows by itself; where there is a 3.14, it is
# asked, too.

bats_require_minimum_version 1.5.0
load live.bash

PYTHON=/usr/bin/python3

setup()
{
	python_setup
	# As nobody: root has another way to Python frames. The build tree may lie where others cannot go.
	DIR=$(mktemp -d /tmp/pmuflame-bats.XXXXXX)
	cp "$PMUFLAME" "${builddir:?}"/{pmuflame-agent.so,tests/workloads/remote_runtime.so} \
		"${srcdir:?}"/tests/workloads/py{remote,shares}.py "$DIR"
	chmod -R a+rX "$DIR"
	NOBODY=(env HOME="$DIR")
	PERFMON=("${NOBODY[@]}")
	if [ "$(id -u)" -eq 0 ]; then
		chown nobody "$DIR"
		NOBODY=(setpriv --reuid=nobody --regid=nogroup --clear-groups "${NOBODY[@]}")
		PERFMON=("${NOBODY[@]:0:4}" --inh-caps +perfmon --ambient-caps +perfmon
			"${NOBODY[@]:4}")
	fi
	cd "$DIR" || return
}

teardown()
{
	[ -z "${TARGET:-}" ] || kill "$TARGET" 2>kill.log || true
	[ -z "${DIR:-}" ] || rm -rf "$DIR"
}

# start SECONDS [MODE]: $TARGET runs pyremote.py.
start()
{
	"${NOBODY[@]}" "$PYTHON" pyremote.py ./remote_runtime.so "$@" >started 2>target.log 3>&- &
	TARGET=$!
	until grep -q ready started; do
		kill -0 "$TARGET" || return
		sleep 0.05
	done
}

# attach [OPTIONS...]: to $TARGET. What was sampled of it is in the file stacks.
attach()
{
	"${NOBODY[@]}" ./pmuflame -q --summary s.json -e cpu-clock:u -F 499 --stack-bytes 8192 \
		--format folded -o out -p "$TARGET" "$@" || return
	grep -E ';(_start|[_]*clone[^;]*);' out.cpu-clock_u.folded >stacks || true
}

notes()
{
	number '.notes[].text'
}

# The CPU time so far of $TARGET's main thread and of all, in ns.
cpu_times()
{
	awk -v main="/proc/$TARGET/task/$TARGET/schedstat" '{ all += $1 } FILENAME == main { own = $1 }
		END { printf "%.0f %.0f\n", own, all }' "/proc/$TARGET/task"/*/schedstat
}

@test "the agent comes, in every thread, and leaves nothing behind" {
	local rest=(/tmp/pmuflame-[0-9a-f]*) before now other
	start 60
	read -ra before < <(cpu_times)
	attach --duration 2
	read -ra now < <(cpu_times)
	notes | grep -q '^Python 3\.[0-9]*: 1 process'
	within "$(folded_share stacks '(third|two_thirds) .pyremote.py:')" 90 100
	# Two thirds of those, and in each thread what it ran; samples may be few where others want the CPUs.
	within "$(folded_share <(grep 'third' stacks) two_thirds)" 40 90
	other=$((100 - 100 * (now[0] - before[0]) / (now[1] - before[1])))
	within "$(folded_share stacks 'Thread\.run')" $((other > 21 ? other - 20 : 1)) $((other + 20))
	run -0 echo /tmp/pmuflame-[0-9a-f]*
	[ "$output" = "${rest[*]}" ]
	[ ! -s target.log ]
	kill -0 "$TARGET"
}

vm_kb()
{
	awk '/^VmSize:/ { print $2 }' "/proc/$TARGET/status"
}

@test "again and again, to one process" {
	local size
	start 60
	for i in 1 2 3 4 5; do
		attach --duration 0.3
		grep -q 'pyremote.py:' stacks
		[ "$i" != 1 ] || size=$(vm_kb)
	done
	# What one attachment shares is over 600 kB.
	within "$(vm_kb)" 0 $((size + 600))
	[ "$(grep -c 'pmuflame-agent.so' "/proc/$TARGET/maps")" -le 6 ]
	[ ! -s target.log ]
}

@test "forks connect, too" {
	start 60 fork
	attach --duration 3
	notes | grep -q '^Python 3\.[0-9]*: 2 processes'
	pkill -P "$TARGET"
	[ ! -s target.log ]
}

@test "a program that is executed is not met by a signal of the one before" {
	# The kernel's part of an exec is where that can happen, so it has to be sampled.
	[ "$(id -u)" -eq 0 ] || [ "$(cat /proc/sys/kernel/perf_event_paranoid)" -le 1 ] ||
		skip "this user may not sample the kernel"
	start 60 exec
	"${PERFMON[@]}" ./pmuflame -q --summary s.json -e cpu-clock -F 9999 --stack-bytes 1024 --format folded \
		-o out -p "$TARGET" --duration 4
	notes | grep -q '^Python 3\.[0-9]*: [0-9]* processes'
	until [ "$(grep -c -E 'executed|failed' started)" = 100 ]; do sleep 0.1; done
	[ "$(grep -c failed started)" = 0 ]
	[ ! -s target.log ]
}

@test "where the main thread sleeps, another one is asked" {
	start 60 sleep
	attach --duration 2
	notes | grep -q '^Python 3\.[0-9]*: 1 process'
	within "$(folded_share stacks '(third|two_thirds) .pyremote.py:')" 75 100
	[ ! -s target.log ]
	kill -0 "$TARGET"
}

@test "who does not want to be asked, or does not listen, has native frames and a sentence" {
	start 60 forbid
	attach --duration 0.3
	notes | grep -q 'without Python frames: process .*may not be asked'
	run -125 attach --duration 0.3 --python yes
	[[ $output == *"may not be asked"* ]]
	kill "$TARGET"
	start 60 deaf
	attach --duration 1
	notes | grep -q 'no Python frames of process .* executed Python code while it was recorded'
	[ ! -s target.log ]
}

@test "a version that has no such interface is told" {
	"${NOBODY[@]}" "$PYTHON" -c 'while True: pass' 3>&- &
	TARGET=$!
	until grep -q '^python' "/proc/$TARGET/comm"; do sleep 0.02; done
	attach --duration 0.3
	notes | grep -q 'without Python frames: process .*CPython 3\.[0-9.]* has no interface.*start it by pmuflame'
}

@test "CPython 3.14 itself" {
	local python
	python=$(command -v python3.14 || ls "$HOME"/.pyenv/versions/3.14.*/bin/python3 2>/dev/null) ||
		skip "there is no CPython 3.14"
	"${PERFMON[@]}" test -x "$python" || skip "not everybody may execute $python"
	"${PERFMON[@]}" "$python" pyshares.py result 6 3>&- &
	TARGET=$!
	sleep 0.5
	"${PERFMON[@]}" ./pmuflame -q --summary s.json -F 2999 -e cpu-clock --stack-bytes 8192 --format folded \
		-o out -p "$TARGET"
	notes | grep -q '^Python 3.14: .* 100.00% of whose native frames agree'
	"$PYTHON" "${srcdir:?}/tests/compare_pyshares.py" 2 result out.cpu-clock.folded pyshares.py
}
