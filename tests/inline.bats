#!/usr/bin/env bats
# Inlined functions and source lines: in every output, wherever the debug info is, and without waiting for it.

# shellcheck disable=SC2030,SC2031 # every test has a process, and variables, of its own

bats_require_minimum_version 1.5.0
load live.bash

# Made once: sums, with debug info; what it costs is in mix, which is inlined into rounds and that into work.
setup_file()
{
	cd "${BATS_FILE_TMPDIR:?}" || return
	command -v cc >/dev/null || skip "there is no compiler"
	cat >sums.c <<-'END'
		#include <stdint.h>
		volatile uint64_t sink;
		static inline __attribute__((always_inline)) uint64_t mix(uint64_t x)
		{
			x ^= x >> 33;
			x *= 0xff51afd7ed558ccdULL;
			x ^= x >> 29;
			return x;
		}
		static inline __attribute__((always_inline)) uint64_t rounds(uint64_t x, int n)
		{
			for (int i = 0; i < n; i++)
				x = mix(x + (uint64_t)i);
			return x;
		}
		__attribute__((noinline)) uint64_t work(uint64_t x)
		{
			for (int i = 0; i < 100000; i++)
				x = rounds(x, 50);
			return x;
		}
		int main(void)
		{
			for (int i = 0; i < 20; i++)
				sink = work(sink);
			return 0;
		}
	END
	cc -g -O2 -Wl,--build-id=sha1 -o sums sums.c
	mkdir stripped
	strip -o stripped/sums sums
	objcopy --only-keep-debug sums sums.debug
}

setup()
{
	live_setup || return
	unset DEBUGINFOD_URLS
	made=${BATS_FILE_TMPDIR:?}
	stack='^sums;.*main;work;rounds_\[i\];mix_\[i\] '
}

# run_sums OPTIONS... -- COMMAND...: a quiet run, and what its ledger notes, but for timers that came late.
run_sums()
{
	profile -q -F 1999 -e cpu-clock "$@"
	number '.notes[]? | .text // . | select(contains("its timer came late") | not)' >notes
}

has_inlined()
{
	within "$(folded_share "${1:-out/sums.cpu-clock.folded}" "$stack")" 30 100
}

has_none()
{
	run ! grep -q ';main;.*_\[i\]' out/sums.cpu-clock.folded
}

@test "every output has them" {
	run_sums --format svg,html,folded,speedscope,callgrind,json -- "$made/sums"
	has_inlined
	grep -q '<title>[^<]*mix' out/sums.cpu-clock.svg || grep -q mix out/sums.cpu-clock.svg
	jq -e '[.shared.frames[] | select(.name == "mix" and (.file | endswith("sums.c")))] | length == 1' \
		out/sums.speedscope.json
	"$PMUFLAME" top --by line -n 0 out/sums.pb.gz >lines
	grep -qE ' mix \(sums\.c:[5-8]\)' lines
	grep -qE ' rounds \(sums\.c:1[23]\)' lines
	grep -qE ' work \(sums\.c:19\)' lines
	grep -qE ' main \(sums\.c:2[56]\)' lines
	if command -v go >/dev/null; then
		go tool pprof -top -lines out/sums.pb.gz 2>/dev/null >pprof.txt
		grep -qE 'mix .*sums\.c:[5-8] \(inline\)' pprof.txt
	fi
}

@test "callgrind's readers have the lines" {
	command -v callgrind_annotate >/dev/null || skip "valgrind is not installed"
	run_sums --format callgrind -- "$made/sums"
	callgrind_annotate --show-percs=no --threshold=100 out/sums.callgrind "$made/sums.c" >annotated
	grep -qE '^ *[1-9][0-9,]*  x (\*|\^)= ' annotated
	grep -qE '=> .*:mix \(' annotated
}

@test "saved, drawn again, added up and compared" {
	run_sums -- "$made/sums"
	for f in svg html folded callgrind speedscope json; do
		"$PMUFLAME" render --format "$f" -o once/ out/sums.pb.gz >/dev/null
	done
	"$PMUFLAME" render --format pprof -o saved/ out/sums.pb.gz
	for f in svg html folded callgrind speedscope json; do
		"$PMUFLAME" render --format "$f" -o again/ saved/sums.pb.gz >/dev/null
	done
	cmp out/sums.cpu-clock.folded once/sums.cpu-clock.folded
	cmp out/sums.cpu-clock.svg once/sums.cpu-clock.svg
	diff -r once again
	"$PMUFLAME" render --format folded -o two out/sums.pb.gz out/sums.pb.gz
	has_inlined two.cpu-clock.folded
	"$PMUFLAME" diff -n 0 --no-svg out/sums.pb.gz saved/sums.pb.gz >changes
	grep -qE ' mix( |$)' changes
}

@test "--inline no leaves them out" {
	run_sums --inline no -- "$made/sums"
	has_none
	within "$(folded_share out/sums.cpu-clock.folded '^sums;.*main;work ')" 30 100
	"$PMUFLAME" top --by line -n 0 out/sums.pb.gz >lines
	run ! grep -q 'sums\.c' lines
	run -125 "$PMUFLAME" --inline maybe -- true
	[[ $output == *--inline* ]]
}

@test "a stripped program, and nothing that has its debug info: one note" {
	run_sums -- "$made/stripped/sums"
	has_none
	[ "$(grep -c "'sums' has no debug info" notes)" -eq 1 ]
}

@test "a stripped program that names a file beside it" {
	mkdir -p linked/.debug
	cp "$made/sums.debug" linked/.debug/
	objcopy --add-gnu-debuglink="$made/sums.debug" "$made/stripped/sums" linked/sums
	run_sums -- linked/sums
	has_inlined
	[ ! -s notes ]
	# Another build's file is not taken.
	objcopy --remove-section=.comment linked/.debug/sums.debug
	run_sums -- linked/sums
	has_none
}

@test "perf's cache has it by build id" {
	id=$(readelf -n "$made/sums" | sed -n 's/.*Build ID: *//p')
	mkdir -p "home/.debug/.build-id/${id:0:2}/${id:2}"
	cp "$made/sums.debug" "home/.debug/.build-id/${id:0:2}/${id:2}/debug"
	HOME=$PWD/home run_sums -- "$made/stripped/sums"
	has_inlined
}

@test "a recording, whose files are elsewhere" {
	run_sums --inline no --raw r.data -- "$made/stripped/sums"
	id=$(readelf -n "$made/sums" | sed -n 's/.*Build ID: *//p')
	mkdir -p "root/usr/lib/debug/.build-id/${id:0:2}"
	cp "$made/sums.debug" "root/usr/lib/debug/.build-id/${id:0:2}/${id:2}.debug"
	cp "$made/stripped/sums" root/
	"$PMUFLAME" render --symfs root --format folded -o with/ r.data
	has_inlined with/r.cpu-clock.folded
	"$PMUFLAME" render --symfs root --inline no --format folded -o without/ r.data
	within "$(folded_share without/r.cpu-clock.folded '^sums;.*main;work ')" 30 100
}

@test ".gnu_debugdata has names, and no lines" {
	command -v xz >/dev/null || skip "there is no xz"
	objcopy -S --remove-section=.gdb_index --remove-section=.comment \
		--keep-symbol=work --keep-symbol=main "$made/sums.debug" mini
	xz mini
	objcopy --add-section .gnu_debugdata=mini.xz "$made/stripped/sums" sums
	run_sums -- ./sums
	has_none
	within "$(folded_share out/sums.cpu-clock.folded ';main;work ')" 30 100
}

# ---- Servers ----

need_client()
{
	ldconfig -p | grep -qF libdebuginfod.so.1 || skip "libdebuginfod is not installed"
}

# A port of the loopback interface that nobody listens on.
free_port()
{
	/usr/bin/python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'
}

# Run elfutils' server of what is in $1, until the test ends.
serve()
{
	local port id
	port=$(free_port)
	id=$(readelf -n "$made/sums" | sed -n 's/.*Build ID: *//p')
	debuginfod -F -p "$port" -d :memory: -t0 "$1" >/dev/null 2>&1 3>&- &
	server=$!
	export DEBUGINFOD_URLS=http://127.0.0.1:$port
	for _ in {1..100}; do
		rm -rf polled
		! DEBUGINFOD_CACHE_PATH=polled debuginfod-find debuginfo "$id" >/dev/null 2>&1 || return 0
		sleep 0.1
	done
	return 1
}

teardown()
{
	if [ -n "${server:-}" ]; then
		kill "$server"
		wait "$server" || true
	fi
}

@test "a server has it: lines, and names where the program has none" {
	command -v debuginfod >/dev/null || skip "debuginfod is not installed"
	mkdir served
	cp "$made/sums.debug" served/
	serve served
	export DEBUGINFOD_CACHE_PATH=$PWD/cache
	run_sums -- "$made/stripped/sums"
	has_inlined
	[ ! -s notes ]
	run_sums --inline no -- "$made/stripped/sums"
	has_none
	within "$(folded_share out/sums.cpu-clock.folded '^sums;.*main;work ')" 30 100
}

@test "no server answers: one note, and the profile" {
	need_client
	DEBUGINFOD_URLS=http://127.0.0.1:$(free_port)
	export DEBUGINFOD_CACHE_PATH=$PWD/cache DEBUGINFOD_URLS
	run_sums -- "$made/stripped/sums"
	has_none
	[ "$(grep -c 'DEBUGINFOD_URLS' notes)" -eq 1 ]
}

# A server that takes requests and does not answer.
mute_server()
{
	/usr/bin/python3 -c 'if True:
		import socket, time
		s = socket.socket()
		s.bind(("127.0.0.1", 0))
		s.listen(100)
		print(s.getsockname()[1], flush=True)
		time.sleep(600)' >port 3>&- &
	server=$!
	until [ -s port ]; do sleep 0.05; done
	DEBUGINFOD_URLS=http://127.0.0.1:$(cat port)
	export DEBUGINFOD_CACHE_PATH=$PWD/cache DEBUGINFOD_URLS
}

@test "a server that does not answer is given up" {
	need_client
	mute_server
	DEBUGINFOD_MAXTIME=1 run_sums -- "$made/stripped/sums"
	has_none
	grep -q 'given up after 1 s' notes
}

@test "a signal ends the waiting, and the report is written" {
	need_client
	mute_server
	"$PMUFLAME" -o out/ -e cpu-clock -- sh -c "$made/stripped/sums; : >ended" 2>err 3>&- &
	local pid=$!
	until [ -e ended ]; do sleep 0.05; done
	while kill -TERM "$pid" 2>/dev/null; do sleep 0.1; done
	wait "$pid" || true
	grep -q 'a signal ended their naming early' err
	[ -s out/sh.cpu-clock.svg ]
}

# ---- Python ----

@test "what runs a Python function does not come back as an inlined one" {
	python=
	while read -r p; do
		! readelf -S "$p" "$(ldd "$p" | awk '/libpython/ { print $3 }')" 2>/dev/null |
			grep -q '\.debug_info' || python=$p
	done < <(interpreters)
	[ -n "$python" ] || skip "no interpreter here has debug info"
	cat >calls.py <<-'END'
		def inner(n):
		    return sum(i * i % 7 for i in range(n))
		def outer():
		    return max(map(inner, [2000] * 400))
		outer()
	END
	profile -q -F 1999 -e cpu-clock --python yes -- "$python" calls.py
	grep -q ';inner (calls.py:2).*_\[i\]' out/calls.cpu-clock.folded
	run ! grep -q '_PyEval_EvalFrame_\[i\]' out/calls.cpu-clock.folded
}
