#!/usr/bin/env bats
# Files read by a process without privileges: the same profile, and what a bad file costs.

# shellcheck disable=SC2030,SC2031 # every test has a process, and variables, of its own

bats_require_minimum_version 1.5.0
load live.bash

setup()
{
	live_setup || return
	unset DEBUGINFOD_URLS
	"$PMUFLAME" record -q -e cpu-clock -o probe/ --sandbox yes -- true 2>why ||
		skip "no sandbox here: $(head -n 1 why)"
}

# A program of half a second, whose .gnu_debuglink leads to a debug file of 7 GiB, all holes but its start: its
# CRC takes longer than reading a program of that size should.
make_bomb()
{
	command -v cc >/dev/null || skip "there is no compiler"
	cat >bomb.c <<-'END'
		#include <stdint.h>
		#include <string.h>
		#include <time.h>
		volatile uint64_t sink;
		char block[1 << 16], copy[1 << 16];
		int main(void)
		{
			struct timespec t;
			do {
				for (int i = 0; i < 100; i++) {
					memmove(copy, block, sizeof block);
					sink += (uint64_t)copy[i];
				}
				clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
			} while ((double)t.tv_sec + (double)t.tv_nsec * 1e-9 < 0.5);
			return 0;
		}
	END
	cc -g -O1 -fno-builtin -o bomb bomb.c
	objcopy --only-keep-debug bomb bomb.debug
	strip bomb
	objcopy --remove-section=.note.gnu.build-id --add-gnu-debuglink=bomb.debug bomb
	truncate -s 7G bomb.debug
}

# note REGEX: the ledger says so.
note()
{
	jq -er --arg re "$1" '[.notes[].text] | map(select(test($re))) | length > 0' s.json >/dev/null || {
		jq -r '.notes[].text' s.json
		return 1
	}
}

# reader PID: the worker of PID's keeper that has worked for a fifth of a second.
reader()
{
	local keeper worker
	for keeper in $(pgrep -x -P "$1" pmuflame-keeper); do
		for worker in $(pgrep -x -P "$keeper" pmuflame-reader); do
			awk -v least="$(getconf CLK_TCK)" '{ exit $14 + $15 < least / 5 }' \
				"/proc/$worker/stat" 2>why && echo "$worker"
		done
	done
}

@test "recordings are the same byte by byte" {
	"$PMUFLAME" -q -e cpu-clock --raw deep.data -o raw/ -- deep --seconds 0.3
	"$PMUFLAME" -q -e cpu-clock --raw edge.data -o raw/ -- edge dlopen --times 30 --seconds 0.2
	"$PMUFLAME" -q -e cpu-clock --raw tree.data -o raw/ -- tree --depth 2 --fanout 3 --micros 3000
	for name in deep edge tree; do
		"$PMUFLAME" render --sandbox no --format folded -o no/ "$name.data"
		"$PMUFLAME" render --sandbox yes --format folded -o yes/ "$name.data"
		[ -s "no/$name.cpu-clock.folded" ]
		cmp "no/$name.cpu-clock.folded" "yes/$name.cpu-clock.folded"
	done
}

@test "source lines and inlined functions come from there, too" {
	"$PMUFLAME" -q -e cpu-clock --raw r.data -o raw/ -- deep --seconds 0.3
	for how in no yes; do
		"$PMUFLAME" render --sandbox "$how" --format pprof -o "$how/" r.data
		"$PMUFLAME" top --lines "$how"/r.pb.gz >"$how.txt"
	done
	grep -q 'deep\.c' no.txt
	cmp no.txt yes.txt
}

@test "what takes forever to read costs its own names" {
	make_bomb
	profile -e cpu-clock --sandbox yes -- ./bomb
	note "'bomb' has no function names: reading it takes more time or memory"
	grep -qE 'mem(move|cpy)' out/bomb.cpu-clock.folded
	run ! grep -q ';main ' out/bomb.cpu-clock.folded
}

@test "what crashes its reader costs its own names" {
	make_bomb
	profile -e cpu-clock --inline no --sandbox yes -- ./bomb &
	recorder=$!
	for ((i = 0; i < 1000; i++)); do
		# The function that profiles is a subshell, whose child is the recorder.
		worker=$(for pid in "$recorder" $(pgrep -P "$recorder"); do reader "$pid"; done | head -n 1)
		[ -z "$worker" ] || break
		sleep 0.01
	done
	[ -n "$worker" ]
	kill -SEGV "$worker"
	wait "$recorder"
	note "'bomb' has no function names: the process that read it crashed"
	grep -qE 'mem(move|cpy)' out/bomb.cpu-clock.folded
}

@test "attached, nothing is left to the recorder that it does not need" {
	deep --seconds 3 &
	target=$!
	"$PMUFLAME" -q -e cpu-clock -p "$target" --duration 1.5 -o out/ --format folded &
	recorder=$!
	for ((i = 0; i < 500; i++)); do
		! grep -q '^NoNewPrivs:.*1' "/proc/$recorder/status" || break
		sleep 0.01
	done
	grep -q '^NoNewPrivs:.*1' "/proc/$recorder/status"
	# CAP_NET_ADMIN, CAP_SYS_MODULE, CAP_SYS_RAWIO
	caps=$((16#$(awk '/^CapEff/ { print $2 }' "/proc/$recorder/status")))
	[ $((caps & (1 << 12 | 1 << 16 | 1 << 17))) -eq 0 ]
	wait "$recorder"
	kill "$target"
	grep -q ';main;.*descend<' out/deep.cpu-clock.folded
}

@test "as an ordinary user" {
	[ "$(id -u)" -eq 0 ] || skip "only root can be somebody else"
	"$PMUFLAME" -q -e cpu-clock --raw r.data -o raw/ -- deep --seconds 0.3
	mkdir no yes
	chmod 777 . no yes
	chmod 644 r.data
	cp "$PMUFLAME" ./pmuflame
	setpriv --reuid=4321 --regid=4321 --clear-groups ./pmuflame render --sandbox no --format folded \
		-o no/ r.data 2>err || skip "an ordinary user does not come here: $(head -n 1 err)"
	setpriv --reuid=4321 --regid=4321 --clear-groups ./pmuflame render --sandbox yes --format folded \
		-o yes/ r.data
	cmp no/r.cpu-clock.folded yes/r.cpu-clock.folded
}

@test "--sandbox says what it takes" {
	run -125 "$PMUFLAME" --sandbox maybe -- true
	[[ "$output" == *"'maybe'"*"auto, yes"* ]]
}
