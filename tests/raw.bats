#!/usr/bin/env bats
# --raw: the recording as perf reads it.

bats_require_minimum_version 1.5.0
load live.bash

setup()
{
	command -v perf || skip "perf is not installed"
	live_setup
}

# raw OPTIONS... -- COMMAND...: a run with a recording, whose totals perf must find again.
raw()
{
	profile --raw r.data "$@"
	same_totals
}

# By event, as "NAME SAMPLES WEIGHT": perf script and perf report say what the summary says.
same_totals()
{
	number '.events[] | select(.samples > 0) | "\(.event) \(.samples) \(.weight)"' | sort >ours
	perf script -i r.data -F event,period 2>why | awk '{ sub(/:$/, "", $2); n[$2]++; w[$2] += $1 }
		END { for (e in n) printf "%s %d %.0f\n", e, n[e], w[e] }' | sort >theirs
	diff -u ours theirs
	[ ! -s why ]
	perf report -i r.data --stdio --no-children -g none --percent-limit 101 2>why |
		sed -n "s/^# Samples: .* of event '\(.*\)'$/\1/p; s/^# Event count (approx.): //p" |
		paste -d' ' - - | grep -v ' 0$' | sort >theirs
	awk '{ print $1, $3 }' ours | diff -u - theirs
	[ ! -s why ]
}

@test "several events of a command with many processes" {
	raw -e cpu-clock,page-faults,context-switches -- tree --depth 2 --fanout 3 --micros 3000
	[ "$(wc -l <ours)" = 3 ]
	[ "$(stat -c %a r.data)" = 600 ]
	number '.files[]' | grep -qx r.data
	perf report -i r.data --header-only | grep -q "cmdline : pmuflame tree --depth 2"
	perf report -i r.data --stdio --no-children -g none --sort comm,dso,symbol | grep -q ' exe .* tree .* wl_burn'
}

@test "shares by function, and callers of both sides" {
	raw -F 4999 -e cpu-clock -- deep --seconds 0.5
	perf report -i r.data --stdio --no-children -g none --sort symbol -F overhead,sym |
		awk '/wl_burn/ { print $1 + 0 }' >theirs
	# Drawn from the recording it is stack by stack what was drawn live.
	"$PMUFLAME" render --format folded -o again/ r.data
	grep -v '\[unsampled\] ' out/deep.cpu-clock.folded | diff -u - again/r.cpu-clock.folded
	# perf's share has what was inlined, too.
	folded_share again/r.cpu-clock.folded ';wl_burn(;[^;]*_\\[i\\])* [0-9]+$' >ours
	within "$(paste theirs ours | awk '{ print $1 - $2 }')" -0.01 0.01
	within "$(perf script -i r.data -F ip,sym | grep -c 'descend<23>$')" \
		"$(number '.events[0].samples * 0.9')" "$(number '.events[0].samples')"
}

@test "fixed periods, dumps as large as records can be, frame pointers, none" {
	raw -e cpu-clock@1000000 --stack-bytes 65528 -- edge big-stack --seconds 0.2
	raw -e page-faults@7 --call-graph fp -- edge faults --mib 4
	raw -e cpu-clock:u --call-graph none -- ratio --seconds 0.2
	[ "$(stat -c %s r.data)" -lt 100000 ]
}

@test "tracepoints" {
	[ -r /sys/kernel/tracing/events/sched/sched_switch/id ] || skip "tracepoints cannot be read"
	raw -e sched:sched_switch,cpu-clock -- edge waits --times 50
	[ "$(wc -l <ours)" = 2 ]
}

@test "Python that another program starts, whose counters are there twice" {
	command -v python3 || skip "python3 is not installed"
	raw -e cpu-clock,page-faults -- sh -c 'python3 -c "
t = 0
for i in range(3000000): t += i"; true'
}

@test "a recorder that is killed leaves what it wrote, readable" {
	"$PMUFLAME" -q --raw r.data -e cpu-clock -- ratio --seconds 60 &
	local recorder=$!
	sleep 0.7
	command=$(ps -o pid= --ppid "$recorder")
	kill -s KILL "$recorder" "$command"
	wait "$recorder" || true
	[ ! -e r.data ]
	perf script -i r.data.* -F period 2>why >periods
	[ ! -s why ]
	within "$(wc -l <periods)" 20 1000
}

@test "a full disk is a sentence, and the profile is still there" {
	mkdir small
	mount -t tmpfs -o size=64k none small 2>why || skip "no file system can be made: $(cat why)"
	run -125 --separate-stderr profile -q --raw small/r.data -e cpu-clock -- ratio --seconds 0.2
	left=$(ls small)
	umount small
	# shellcheck disable=SC2154 # run sets it
	[[ $stderr == *"cannot write 'small/r.data', which was removed: No space left on device"* ]]
	[ -z "$left" ]
	[ -s out/ratio.cpu-clock.svg ]
}

@test "where it cannot be written nothing runs; --no-command keeps arguments out" {
	run -125 "$PMUFLAME" -q --raw no/such/folder -e cpu-clock -- touch ran
	[ ! -e ran ]
	profile --raw r.data --no-command -e cpu-clock -- ratio --seconds 0.1
	perf report -i r.data --header-only | grep -q 'cmdline : pmuflame $'
}
