#!/usr/bin/env bats
# shellcheck disable=SC2030,SC2031 # each test is a shell of its own
# Profiles of runs that go on: snapshots on SIGUSR1, and intervals (--rotate).

bats_require_minimum_version 1.5.0
load live.bash
PYTHON=/usr/bin/python3

setup()
{
	live_setup
	copied_options
	# What takes ratio's time, inlined, and what it is part of.
	HOT=wl_spin
	[ "${#COPIED[@]}" -eq 0 ] || HOT=cost_
}

# until_true COMMAND...: asked again and again, for ten seconds.
until_true()
{
	for _ in {1..200}; do
		if "$@"; then return; fi
		sleep 0.05
	done
	echo "this did not become true: $*" >&2
	return 1
}

# A run in the background, as $recorder: start [OPTIONS...] -- COMMAND...
start()
{
	"$PMUFLAME" --summary s.json -o out/ --format folded "${COPIED[@]}" "$@" 2>said 3>&- &
	recorder=$!
}

# Is SIGUSR1 among what pmuflame has set a handler for? Before it is executed, it is a shell that has one.
is_prepared()
{
	local caught
	[ "$(cat "/proc/$recorder/comm")" = pmuflame ] || return
	caught=$(awk '/^SigCgt/ { print $2 }' "/proc/$recorder/status") && (((0x$caught & 1 << 9) != 0))
}

# sum EXPRESSION FILE...: of the first event.
sum()
{
	local what=$1
	shift
	jq -s "map(.events[0] | $what) | add" "$@"
}

@test "SIGUSR1 writes what there is, once for each time, and the run goes on" {
	start -e cpu-clock,page-faults -- ratio --seconds 2
	until_true pgrep -P "$recorder" -x ratio
	sleep 0.5
	kill -USR1 "$recorder"
	until_true test -s s.snapshot-1.json
	kill -USR1 "$recorder"
	wait "$recorder"
	for n in 1 2; do
		[ "$(jq .status s.snapshot-$n.json)" = null ]
		gzip -t out/ratio.snapshot-$n.pb.gz
		grep -q "^ratio;.*$HOT" out/ratio.snapshot-$n.cpu-clock.folded
		grep -q "^pmuflame: snapshot $n: wrote out/ratio.snapshot-$n\.\*" said
	done
	first=$(sum .counted s.snapshot-1.json) second=$(sum .counted s.snapshot-2.json)
	within "$first" 1 "$second"
	within "$second" "$first" "$(number '.events[0].counted')"
	# A snapshot's samples stand for its counts.
	within "$(jq '.events[0] | 100 * (.weight + .unsampled) / .counted' s.snapshot-2.json)" 99 101
	[ "$(jq '[.notes[].text | select(test("outlived"))] | length' s.snapshot-2.json)" = 0 ]
	[ -s out/ratio.pb.gz ]
}

@test "SIGUSR1 is for pmuflame alone, whether it was ignored or comes too soon" {
	cat >told.sh <<-'END'
		trap 'echo told >told' USR1
		: >ready
		until [ -e enough ]; do sleep 0.05; done
	END
	start -e cpu-clock -- bash told.sh
	until_true is_prepared
	kill -USR1 "$recorder" # mostly before it has an event
	until_true test -e ready
	kill -USR1 "$recorder"
	until_true test -s s.snapshot-1.json
	: >enough
	wait "$recorder"
	[ ! -e told ]
	# Ignored by who started it, and so by the command: that stays.
	(
		trap '' USR1
		exec "$PMUFLAME" -q -o ign/ "${COPIED[@]}" --delay 0.4 -e cpu-clock -- \
			sh -c 'grep SigIgn /proc/$$/status >ignored; sleep 1.2'
	) 3>&- &
	recorder=$!
	until_true test -s ignored
	kill -USR1 "$recorder" # before counting begins: it waits for that
	wait "$recorder"
	[ -s ign/sh.snapshot-1.pb.gz ]
	(((0x$(awk '{ print $2 }' ignored) & 1 << 9) != 0))
}

@test "SIGUSR1 to all processes of pmuflame disturbs none" {
	ratio --seconds 60 >/dev/null 3>&- &
	target=$!
	until_true grep -qx ratio "/proc/$target/comm"
	start -e cpu-clock --sandbox auto -p "$target" --duration 3
	until_true pgrep -P "$recorder"
	sleep 0.5
	mapfile -t others < <(pgrep -P "$recorder")
	kill -USR1 "$recorder" "${others[@]}"
	until_true test -s s.snapshot-1.json
	ps -o state= -p "${others[0]}" | grep -qv Z
	wait "$recorder"
	kill "$target"
	grep -q "$HOT" out/ratio.snapshot-1.cpu-clock.folded
	grep -q "$HOT" out/ratio.cpu-clock.folded
}

@test "intervals add up to the run, with processes that come and go and two readers" {
	[ "$(nproc)" -ge 2 ] || skip "needs two CPUs"
	start -v --readers 2 --rotate 1 --keep 0 --stack-bytes 4096 -e page-faults@1,cpu-clock -- \
		sh -c 'for i in 1 2 3 4 5 6 7 8; do tree --depth 4 --micros 3000 >/dev/null; done'
	wait "$recorder"
	[ "$(find . -name 's.2*.json' | wc -l)" -ge 2 ]
	[ "$(find out -name 'sh.2*.pb.gz' | wc -l)" = "$(find . -name 's.2*.json' | wc -l)" ]
	# Each is a sample: what the counters say in all is what the rings got.
	[ "$(sum .counted s.2*.json)" = "$(sum '.samples + .lost' s.2*.json)" ]
	[ "$(jq -s 'map(.recorder.readers) | unique' -c s.2*.json)" = "[2]" ]
	# Names were found in each of them.
	[ "$(grep -l '^tree;.*;main;.*wl_burn' out/sh.2*.cpu-clock.folded | wc -l)" -ge 2 ]
	# One file from all.
	"$PMUFLAME" render --format json -o all out/sh.2*.pb.gz 2>/dev/null
	[ -s all.json ]
}

@test "--keep says how many intervals stay" {
	mkdir out
	touch out/sleep.20010203T040506Z.pb.gz
	start -v --rotate 1 --keep 2 -e cpu-clock -- sleep 3.5
	wait "$recorder"
	grep -q 'interval 3: wrote' said
	[ "$(find out -name 'sleep.202*.pb.gz' | wc -l)" = 2 ]
	[ "$(find out -name 'sleep.202*.folded' | wc -l)" = 2 ]
	[ "$(find . -name 's.2*.json' | wc -l)" = 2 ]
	[ -e out/sleep.20010203T040506Z.pb.gz ] # of another run
	run -125 "$PMUFLAME" --rotate 0.5 -e cpu-clock -- true
	run -125 "$PMUFLAME" --keep 3 -e cpu-clock -- true
	run -125 "$PMUFLAME" --rotate 1 --keep many -e cpu-clock -- true
}

@test "Python frames are in every interval and snapshot" {
	python_setup
	cat >loop.py <<-'END'
		import os
		def inner(n):
		    return sum(i * i for i in range(n))
		def outer():
		    while not os.path.exists("stop"):
		        inner(20000)
		outer()
	END
	start --python yes --rotate 1 -e cpu-clock -- "$PYTHON" loop.py
	until_true compgen -G 'out/loop.2*.pb.gz'
	kill -USR1 "$recorder"
	until_true test -s out/loop.snapshot-1.pb.gz
	: >stop
	wait "$recorder"
	# The last one may be short.
	for f in out/loop.snapshot-1.cpu-clock.folded $(find out -name 'loop.2*.folded' | sort | sed '$d'); do
		within "$(folded_share "$f" 'outer \(loop.py:[0-9]*\);inner \(loop.py')" 70 100
	done
	run ! jq -e '.notes[] | select(.text | test("[1-9][0-9]* samples whose Python frames are not known"))' s.*.json
}

@test "what is written beside the profile is whole whatever is written in between" {
	start --raw r.data -e cpu-clock --rotate 1 --keep 0 -- ratio --seconds 1.5
	until_true compgen -G 'out/ratio.2*.pb.gz'
	kill -USR1 "$recorder"
	wait "$recorder"
	"$PMUFLAME" render --format json -o raw r.data 2>/dev/null
	all=$(sum .samples s.2*.json)
	[ "$(jq '.events[0].samples' raw.json)" = "$all" ]
}

@test "an interval that cannot be written is a sentence, and the next one is tried" {
	start --rotate 1 --keep 0 -e cpu-clock -- ratio --seconds 2.5
	until_true pgrep -P "$recorder" -x ratio
	mv out gone
	until_true grep -q 'interval 1 is not complete, and the recording goes on: cannot write' said
	mv gone out
	wait "$recorder"
	[ "$(find out -name 'ratio.2*.pb.gz' | wc -l)" -ge 2 ]
	# Its numbers do not come back in another one.
	[ "$(find . -name 's.2*.json' | wc -l)" -gt "$(find out -name 'ratio.2*.pb.gz' | wc -l)" ]
}

@test "pmuflame that is killed leaves whole intervals only" {
	start --rotate 1 -F 4999 -e cpu-clock,page-faults@1 -- deep --seconds 60
	until_true pgrep -P "$recorder" -x deep
	command=$(pgrep -P "$recorder" -x deep)
	until_true compgen -G 's.2*.json' # the last of an interval's files
	kill -USR1 "$recorder" # something is being written
	kill -KILL "$recorder"
	wait "$recorder" || true
	kill "$command"
	for f in out/*.pb.gz; do gzip -t "$f"; done
	for f in s.2*.json; do jq -e .events "$f" >/dev/null; done
	[ -z "$(find out ! -name '*.folded' ! -name '*.pb.gz' -type f)" ]
}
