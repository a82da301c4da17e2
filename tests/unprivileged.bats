#!/usr/bin/env bats
# What an ordinary user gets with kernel.perf_event_paranoid 2, and who is refused altogether.

bats_require_minimum_version 1.5.0
load live.bash

setup()
{
	live_setup
	[ "$(id -u)" -eq 0 ] || skip "only root can become another user"
	# The build tree may lie where other users cannot go.
	DIR=$(mktemp -d /tmp/pmuflame-bats.XXXXXX)
	install -m 755 "$PMUFLAME" "$DIR/pmuflame"
	install -m 755 "${builddir:?}"/tests/workloads/{ratio,edge,tree} "$DIR"
	chown nobody "$DIR"
	cd "$DIR" || return
}

teardown()
{
	[ -z "${DIR:-}" ] || rm -rf "$DIR"
}

as_nobody()
{
	setpriv --reuid=nobody --regid=nogroup --clear-groups env -u SUDO_UID -u SUDO_GID \
		PATH="$DIR:$PATH" HOME="$DIR" "$@"
}

need_paranoid_2()
{
	[ "$(cat /proc/sys/kernel/perf_event_paranoid)" = 2 ] ||
		skip "kernel.perf_event_paranoid is not 2"
}

@test "user-only profile, said so" {
	need_paranoid_2
	as_nobody ./pmuflame -e cpu-clock --summary s.json ./ratio --seconds 0.5
	[ "$(number '.events[0].exclude_kernel')" = true ]
	number '.notes[].text' | grep -q 'user space only.*perf_event_paranoid'
	grep -q 'user space only' ratio.cpu-clock.svg
	within "$(number '.events[0].samples')" 100 2000
	[ "$(stat -c %U ratio.cpu-clock.svg)" = nobody ]
}

@test "switches happen in the kernel: refused, with what it needs" {
	need_paranoid_2
	run -125 as_nobody ./pmuflame -e context-switches ./ratio --seconds 0.1
	[[ $output == *"happens in the kernel"* && $output == *"paranoid"* && $output == *CAP_PERFMON* ]]
	[ "$(wc -l <<<"$output")" -eq 1 ]
}

@test "a clock's kernel time is labelled, not spread" {
	need_paranoid_2
	as_nobody ./pmuflame -e cpu-clock --format svg,folded --summary s.json ./edge faults --mib 512
	grep -q '\[kernel time, not permitted\]' edge.cpu-clock.folded
	within "$(number '.events[0] | (.weight + .unsampled) / .counted')" 0.999 1.001
	within "$(number '.events[0] | 100 * .unsampled / .counted')" 5 99
}

@test "faults are user-mode faults only" {
	need_paranoid_2
	as_nobody ./pmuflame -e page-faults --summary s.json ./edge faults --mib 16
	number '.notes[].text' | grep -q 'user-mode faults only'
}

@test "set-uid and execute-only targets: a sentence, not an empty picture" {
	need_paranoid_2
	install -m 4755 -o root ratio setuid
	as_nobody ./pmuflame -e cpu-clock ./setuid --seconds 0.3 2>err
	grep -q 'set-uid.*dropped its events at exec' err
	grep -q 'dropped its events at exec' setuid.cpu-clock.svg
	install -m 711 -o root ratio unreadable
	as_nobody ./pmuflame -e cpu-clock ./unreadable --seconds 0.3 2>err
	grep -q 'executed but not read' err
}

@test "rings shrink to what an ordinary user may lock" {
	need_paranoid_2
	setpriv --reuid=nobody --regid=nogroup --clear-groups prlimit --memlock=0 -- \
		./pmuflame -e cpu-clock --summary s.json ./ratio --seconds 0.3
	within "$(number .ring_bytes)" 131072 4194304
	within "$(number '.events[0].samples')" 50 2000
}

@test "a seccomp filter that refuses the call: one sentence and the remedy" {
	for event in cpu-clock cycles; do
		run -125 --separate-stderr "${builddir:?}/tests/tools/deny_perf" ./pmuflame -e $event ./ratio --seconds 0.1
		[ "$(wc -l <<<"${stderr:?}")" -eq 1 ]
		[[ $stderr == *seccomp* ]]
	done
	run -1 "${builddir:?}/tests/tools/deny_perf" ./pmuflame doctor
	[ "$(grep -c '^blocked' <<<"$output")" -eq 1 ]
	[ "$(grep -c seccomp= <<<"$output")" -eq 1 ]
	[[ $output == *"hardware PMU: not known"* && $output != *pmu=on* ]]
}
