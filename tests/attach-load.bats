#!/usr/bin/env bats
# Attached to what works: a server of 64 threads under load, a machine with several programs at once, and
# programs that do odd things meanwhile. PMF_LONG=1 attaches a hundred times.

# shellcheck disable=SC2030,SC2031 # no test uses another one's server
bats_require_minimum_version 1.5.0
load live.bash
load serve.bash

setup()
{
	live_setup
}

teardown()
{
	[ -z "${serve_pid:-}" ] || serve_stop
	[ -z "${serve_dir:-}" ] || rm -rf "$serve_dir"
}

# In a folder that nobody may read: bats' is its owner's.
serve_setup()
{
	if [ ! -x "${serve_program:?}" ] || ! command -v h2load >/dev/null; then
		skip "there is no $serve_program, or no h2load"
	fi
	serve_prepare "$(mktemp -d /tmp/pmuflame-serve.XXXXXX)"
}

# until_records PID: its events are open.
until_records()
{
	until find "/proc/$1/fd" -lname '*perf_event*' | grep -q .; do
		sleep 0.05
	done
	sleep 0.2
}

@test "a server under load: attached is as launched, within 3 points for each function above 2 %" {
	serve_setup
	serve_start
	serve_load 3 >attached.load &
	sleep 0.2
	"$PMUFLAME" -q --summary attached.json -o out/ -p "$serve_pid" --duration 2 -F 4999 -e cpu-clock
	wait $!
	serve_worked attached.load
	serve_stop
	serve_start "$PMUFLAME" -q --summary launched.json -o out/ -F 4999 -e cpu-clock --
	serve_load 2 >launched.load
	serve_worked launched.load
	serve_stop
	serve_pid=
	[ "$(jq '.events[0].samples' attached.json)" -gt 1500 ]
	within "$(serve_compare attached.json launched.json)" -100 3
}

@test "attached and detached again and again, or killed: no request fails" {
	serve_setup
	serve_start
	local times=6 before status
	[ -z "${PMF_LONG:-}" ] || times=100
	before=$(grep -E 'Threads|TracerPid|SigBlk|SigIgn|SigCgt' "/proc/$serve_pid/status")
	(
		while [ ! -e enough ] && [ -e "/proc/$serve_pid" ]; do
			serve_load 1 >load
			serve_worked load || touch failed
			cat load >>all.load
		done
	) 3>&- &
	local load=$!
	for i in $(seq $times); do
		"$PMUFLAME" -q --summary "$i.json" -o out/ -p "$serve_pid" --duration 0.1 -e cpu-clock
	done
	for signal in INT:0 KILL:137; do
		env --default-signal=INT "$PMUFLAME" -q -o "$signal/" -p "$serve_pid" --duration 60 -e cpu-clock &
		until_records $!
		kill -s "${signal%:*}" $!
		status=0
		wait $! || status=$?
		[ "$status" = "${signal#*:}" ]
	done
	touch enough
	wait "$load"
	[ ! -e failed ]
	grep -q 'succeeded' all.load
	[ "$(grep -E 'Threads|TracerPid|SigBlk|SigIgn|SigCgt' "/proc/$serve_pid/status")" = "$before" ]
	[ -s INT:0/apache2.cpu-clock.svg ]
	[ -z "$(ls -A KILL:137 2>/dev/null)" ]
	[ "$(jq -s 'map(.events[0].samples) | add' ./*.json)" -gt 0 ]
}

@test "a server that is killed has its profile" {
	serve_setup
	serve_start
	serve_load 1 >load 2>&1 &
	sleep 0.2
	"$PMUFLAME" -q --summary s.json -o out/ -p "$serve_pid" --duration 60 -e cpu-clock &
	local recorder=$!
	until_records $recorder
	sleep 0.4
	kill -KILL "$serve_pid"
	wait $recorder
	[ "$(number '.events[0].samples')" -gt 20 ]
	[ -s out/apache2.cpu-clock.svg ]
}

@test "programs that are attached to do what they do, and are seen before it and after" {
	local modes="close-all filter-calls many-threads"
	[ "$(id -u)" -ne 0 ] || modes+=" change-user"
	for mode in $modes; do
		rm -rf out
		fault "$mode" --seconds 0.4 >said 2>&1 &
		local target=$! status=0
		until [ "$(cat /proc/$target/comm)" = fault ]; do sleep 0.01; done
		"$PMUFLAME" -q -o out/ --format folded --summary s.json -p $target -e cpu-clock
		wait $target || status=$?
		[ "$status" = 3 ]
		[ "$mode" = close-all ] || [ "$(cat said)" = "done" ]
		within "$(folded_share out/fault.cpu-clock.folded ';burn_before;')" 5 60
		within "$(folded_share out/fault.cpu-clock.folded ';burn_after;')" 10 95
	done
}

# ticks PID...: CPU time of each, clock ticks of proc(5).
ticks()
{
	local pid
	for pid; do
		awk '{ print $14 + $15 }' "/proc/$pid/stat"
	done
}

@test "the whole machine: shares are those of /proc, and so are page faults" {
	local pids=() name from to cpu
	# Under names that nothing else here has.
	for name in ratio deep; do
		cp "$(command -v $name)" "./$name-$$"
		"./$name-$$" --seconds 60 >/dev/null &
		pids+=($!)
	done
	export -f ticks
	cat >look <<-END
		ticks ${pids[*]} >before
		grep '^pgfault ' /proc/vmstat >>before
		sleep 2
		edge faults --mib 1024 --seconds 0 >/dev/null
		ticks ${pids[*]} >after
		grep '^pgfault ' /proc/vmstat >>after
	END
	# What others fault before recording starts and after it ends is in the growth from here on, too.
	grep '^pgfault ' /proc/vmstat >around
	"$PMUFLAME" -q -a --summary s.json -o out/ --format folded -e cpu-clock,page-faults -- bash ./look
	grep '^pgfault ' /proc/vmstat >>around
	kill "${pids[@]}"
	paste before after | {
		for name in ratio deep; do
			read -r from to
			# 10 ms are a tick, and all CPUs take part.
			cpu=$(awk -v d=$((to - from)) -v all="$(number '.events[0].counted')" 'BEGIN { print d * 1e9 / all }')
			share=$(number "100 * $(weight out/system.cpu-clock.folded "^$name-$$;") / .events[0].counted")
			# [unsampled] may have been anyone's.
			within "$share" "$(number "$cpu - 2 - 100 * .events[0].unsampled / .events[0].counted")" \
				"$(number "$cpu + 2")"
		done
		read -r _ from _ to
		within "$(number '.events[1].counted')" "$(awk -v n=$((to - from)) 'BEGIN { print 0.99 * n }')" \
			"$(awk '{ n = $2 - n } END { print 1.01 * n }' around)"
	}
}
