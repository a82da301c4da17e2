#!/usr/bin/env bats
# --delay: what happens before is not counted, and what is adds up.

bats_require_minimum_version 1.5.0
load live.bash

setup()
{
	live_setup
}

# reconciled NAME: samples and [unsampled] are the count, in the pictures too.
reconciled()
{
	within "$(number '.events[0] | (.weight + .unsampled) / .counted')" 0.999 1.001
	within "$(weight "out/$1.cpu-clock.folded")" \
		"$(number '.events[0].counted * 0.999')" "$(number '.events[0].counted * 1.001')"
}

@test "programs that ended before it are not there, those that run and those to come are" {
	profile --delay 2 -e cpu-clock -- sh -c '
		ratio --seconds 0.1
		threads --threads 2 --seconds 3 &
		sleep 2.5
		deep --seconds 0.2
		wait'
	[ "$(folded_share out/sh.cpu-clock.folded '^ratio;')" = 0.000 ]
	within "$(folded_share out/sh.cpu-clock.folded '^threads;')" 30 95
	within "$(folded_share out/sh.cpu-clock.folded '^deep;')" 2 60
	reconciled sh
	number '.notes[].text' | grep -q "^counting began 2\.[0-9]* s after the command's start (--delay)$"
	# Two threads for a second at most, and deep.
	within "$(number '.events[0].counted / 1e9')" 0.3 2.4
}

@test "with --duration, which counts from the start" {
	run -0 profile --delay 0.5 --duration 1 -e cpu-clock -- ratio --seconds 60
	reconciled ratio
	within "$(number '.events[0].counted / 1e9')" 0.01 1
}

@test "Python frames, from then on" {
	command -v python3 || skip "python3 is not installed"
	cat >two.py <<-'END'
		import time
		def burn(end):
		    while time.monotonic() < end: pass
		def early():
		    burn(time.monotonic() + 0.1)
		def late():
		    burn(time.monotonic() + 0.5)
		early()
		time.sleep(2)
		late()
	END
	profile --delay 1.8 -e cpu-clock -- python3 two.py
	[ "$(folded_share out/two.cpu-clock.folded ';early ')" = 0.000 ]
	within "$(folded_share out/two.cpu-clock.folded ';late .*;burn ')" 80 100
}

@test "a command that ends before says why there is nothing" {
	profile --delay 60 -e cpu-clock,page-faults -- true
	number '.notes[].text' | grep -q 'the command ended before --delay was over, so nothing was counted'
	[ "$(number '[.events[].counted] | add')" = 0 ]
	grep -q 'ended before --delay was over' out/true.cpu-clock.svg
}

@test "times that cannot be are one sentence" {
	for bad in -1 soon 1e99 ''; do
		run -125 "$PMUFLAME" --delay "$bad" true
		[ "$output" = "pmuflame: --delay '$bad' is not a time (such as 10, 0.5, 250ms, 2m)" ]
	done
	run -125 "$PMUFLAME" --delay 2 --duration 2 true
	[ "$output" = 'pmuflame: --duration, which counts from the start too, must be longer than --delay' ]
}
