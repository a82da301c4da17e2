#!/usr/bin/env bats
# The whole command under valgrind's memcheck, over the workloads: no error, nothing leaked. Part of
# `make check-valgrind`.

bats_require_minimum_version 1.5.0
load live.bash

setup()
{
	live_setup
}

# watched ARGS...: run pmuflame with ARGS; anything that valgrind says fails.
watched()
{
	local got=0
	valgrind -q --log-file="$PWD/vg.%p" --error-exitcode=99 --leak-check=full \
		--show-leak-kinds=definite --errors-for-leak-kinds=definite \
		--suppressions="${srcdir:?}/tests/valgrind.supp" "$PMUFLAME" "$@" || got=$?
	# Of the command itself, which ends by exec, memcheck's file stays empty too. Behind "--" it says what
	# calls it does not know.
	if grep -v '^--' vg.*; then
		return 99
	fi
	return "$got"
}

@test "one process, several events, every output" {
	watched -e cpu-clock,page-faults,cs --format svg,folded --summary s.json ratio --seconds 0.5
}

@test "60 C++ frames" {
	watched -e cpu-clock deep --seconds 0.5
}

@test "forks, execs, threads, exits" {
	watched -e cpu-clock tree --depth 2 --fanout 3 --micros 3000
	watched -e cpu-clock threads --short-lived 200
	watched -e cpu-clock edge daemonise --seconds 0.2
}

@test "libraries that come and go, cut stacks, signal frames" {
	watched -e cpu-clock edge dlopen --times 50 --seconds 0.4
	watched -e cpu-clock --stack-bytes 8192 edge big-stack --seconds 0.3
	watched -e cpu-clock --stack-bytes 8192 edge recurse --times 1000 --seconds 0.3
	watched -e cpu-clock edge altstack --times 10 --seconds 0.3
}

@test "python3, with its many mappings" {
	watched -e cpu-clock /usr/bin/python3 -c 'import json; json.dumps(list(range(300000)))'
}

@test "what runs already, whole and in intervals" {
	threads --threads 1 --seconds 600 >/dev/null 3>&- &
	watched -e cpu-clock,page-faults -p $! --python no --duration 0.5
	watched -e cpu-clock -p $! --python no --duration 2.2 --rotate 1
	kill $!
}

@test "list and doctor" {
	watched list cpu
	watched list --json faults
	watched doctor
}

@test "refusals" {
	for args in '-e nonsense true' '-e cpu-clock:q true' '-c 0 true' '--format png true'; do
		# shellcheck disable=SC2086 # the words are separate
		run -125 watched $args
	done
	run -127 watched -e cpu-clock no-such-command
}
