#!/usr/bin/env bats
# The command line: names, files, refusals.

bats_require_minimum_version 1.5.0
load live.bash

setup()
{
	live_setup
}

# refused STATUS WORDS -- ARGS...: one sentence, with these words.
refused()
{
	local want=$1 words=$2
	shift 3
	run --separate-stderr "-$want" "$PMUFLAME" "$@"
	[ -z "$output" ]
	[ "$(wc -l <<<"$stderr")" -eq 1 ] || { echo "$stderr" >&2; return 1; }
	grep -qiE -- "$words" <<<"$stderr" || { echo "$stderr" >&2; return 1; }
}

@test "bare pmuflame shows examples and the help's first page" {
	run -125 "$PMUFLAME"
	[[ $output == *examples:* && $output == *--event* ]]
	run -0 --separate-stderr "$PMUFLAME" --help
	[[ $output == *list* && $output == *doctor* && -z $stderr ]]
	run -0 "$PMUFLAME" --version
	[[ $output =~ ^pmuflame\ [0-9]+\.[0-9]+ ]]
}

@test "bad input gets one sentence and status 125" {
	refused 125 "cpu-clokc.*cpu-clock" -- -e cpu-clokc true
	refused 125 "modifier" -- -e cpu-clock:zz true
	refused 125 "period|at least 1" -- -e cpu-clock@0 true
	refused 125 "at least 1" -- -c 0 true
	refused 125 "at least 1" -- -F 0 true
	refused 125 "10,?000" -- -e cpu-clock@100 true
	refused 125 "max_sample_rate" -- -e cpu-clock -F 100000000 true
	refused 125 "exclude each other" -- -F 10 -c 10 true
	refused 125 "no option" -- --nonsense true
	refused 125 "needs a value" -- -e
	refused 125 "no command" -- -e cpu-clock
	refused 125 "format" -- --format png true
	refused 125 "stack-bytes" -- --stack-bytes 70000 true
	refused 125 "call-graph" -- --call-graph lbr true
	refused 125 "unwinder.*none of" -- --unwinder dwarf true
	refused 125 "dump none" -- --call-graph none --unwinder cfi true
	refused 125 "dump none" -- --unwinder fp --call-graph fp true
	refused 125 "forbids frame pointers" -- --call-graph dwarf --unwinder fp true
	refused 125 "inherit" -- --inherit maybe true
	refused 125 "not a time" -- --duration soon true
	refused 125 "more than 0" -- --duration 0 true
}

@test "an output that cannot be written is found before the command starts" {
	refused 125 "cannot write" -- -e cpu-clock -o missing/dir/x -- touch started
	[ ! -e started ]
	mkdir -p taken.cpu-clock.svg
	refused 125 "folder" -- -e cpu-clock -o taken -- touch started
	[ ! -e started ]
	refused 125 "cannot write" -- -e cpu-clock --summary missing/s.json -- touch started
	[ ! -e started ]
	ln -s /dev/null null
	refused 125 "no regular file" -- -e cpu-clock --summary null -- touch started
	[ ! -e started ] && [ -L null ]
}

@test "missing and non-executable commands: 127 and 126" {
	refused 127 "not found, and no pmuflame.ini from here up names it" -- -e cpu-clock no-such-command
	refused 127 "'./no-such-command' was not found\$" -- -e cpu-clock ./no-such-command
	cp "$(command -v ratio)" here
	refused 127 "\./here.*did you mean" -- -e cpu-clock here
	touch plain
	refused 126 "permission" -- -e cpu-clock ./plain
	printf '#!/no/such/interpreter\n' >script
	chmod +x script
	refused 127 "interpreter" -- -e cpu-clock ./script
	rm -f probe.*
	run ! compgen -G '*.svg'
}

@test "the run before is kept as .prev" {
	"$PMUFLAME" -q -e cpu-clock ratio --seconds 0.1
	first=$(cksum <ratio.cpu-clock.svg)
	"$PMUFLAME" -q -e cpu-clock ratio --seconds 0.1
	[ "$(cksum <ratio.prev.cpu-clock.svg)" = "$first" ]
	"$PMUFLAME" -q -e cpu-clock -o mine ratio --seconds 0.1
	"$PMUFLAME" -q -e cpu-clock -o mine ratio --seconds 0.1
	[ ! -e mine.prev.cpu-clock.svg ]
}

@test "a run before that cannot be kept is told, and does not hold up the new one" {
	mkdir -p ratio.prev.cpu-clock.svg
	touch ratio.cpu-clock.svg
	run -0 --separate-stderr "$PMUFLAME" -e cpu-clock ratio --seconds 0.1
	[[ $stderr == *"cannot keep the run before"* ]]
	[ -s ratio.cpu-clock.svg ]
}

@test "what is closed at the start stays closed for the command" {
	"$PMUFLAME" -o closed -e cpu-clock -- sh -c '[ ! -e /proc/self/fd/1 ] && [ ! -e /proc/self/fd/2 ]' >&- 2>&-
	xmllint --noout closed.cpu-clock.svg
}

@test "the status line fits its terminal, and is gone at the end" {
	command -v script >/dev/null || skip "script(1) is not here"
	script -qec "stty cols 40; exec '$PMUFLAME' -o x -e cpu-clock,page-faults,minor-faults,major-faults \
		-- sleep 0.6" typescript >/dev/null </dev/null
	tr '\r' '\n' <typescript | sed -n 's/^\x1b\[K//p' >lines
	grep -q '^0\.[0-9] s  cpu-clock' lines
	[ "$(awk '/ s  cpu/ && length > n { n = length } END { print n }' lines)" -eq 39 ]
	grep -q '^pmuflame: sleep ran' lines
}

@test "a symlink planted in an output's place is replaced, not followed" {
	echo precious >victim
	ln -s victim x.cpu-clock.svg
	"$PMUFLAME" -q -e cpu-clock -o x ratio --seconds 0.1
	[ "$(cat victim)" = precious ]
	[ ! -L x.cpu-clock.svg ]
}

@test "-o DIR/ and PREFIX" {
	"$PMUFLAME" -q -e cpu-clock -o new/ ratio --seconds 0.1
	[ -s new/ratio.cpu-clock.svg ]
	"$PMUFLAME" -q -e cpu-clock -o new/other ratio --seconds 0.1
	[ -s new/other.cpu-clock.svg ]
	"$PMUFLAME" -q -e cpu-clock -o new ratio --seconds 0.1
	[ -s new/ratio.prev.cpu-clock.svg ]
}

@test "the command is quoted, home is ~, --no-command leaves it out" {
	HOME=$PWD "$PMUFLAME" -q -e cpu-clock -o a --summary s.json -- sh -c 'exit 0' "$PWD/my file"
	[ "$(number .command)" = "sh -c 'exit 0' ~'/my file'" ]
	"$PMUFLAME" -q -e cpu-clock -o b --no-command --summary s.json -- sh -c 'exit 0' secret-word
	[ "$(number .command)" = null ]
	run ! grep -q secret-word b.cpu-clock.svg s.json
}

@test "record, and -- before the command, are optional" {
	"$PMUFLAME" record -q -e cpu-clock -o a ratio --seconds 0.05
	"$PMUFLAME" -q -e cpu-clock -o b -- ratio --seconds 0.05
	mkdir bin
	ln -s "$(command -v ratio)" bin/list
	PATH="$PWD/bin:$PATH" "$PMUFLAME" -q -e cpu-clock -- list --seconds 0.05
	[ -s list.cpu-clock.svg ]
}

@test "who starts it may ignore SIGCHLD" {
	run -7 timeout 20 python3 -c 'import os, signal, sys
signal.signal(signal.SIGCHLD, signal.SIG_IGN)
os.execv(sys.argv[1], sys.argv[1:])' "$PMUFLAME" -q -e cpu-clock -o a -- sh -c 'exit 7'
}

@test "colliding event names get different files" {
	"$PMUFLAME" -q -e cpu-clock,cpu-clock -o twice ratio --seconds 0.05
	[ -s twice.cpu-clock.svg ]
	[ -s twice.cpu-clock-2.svg ]
}

@test "list and doctor tell what works here" {
	run -0 "$PMUFLAME" list cpu-clock
	[[ $output == *cpu-clock* ]]
	run -1 grep ' $' <<<"$output"
	run -1 --separate-stderr "$PMUFLAME" list no-such-event
	[ "$(wc -l <<<"${stderr:?}")" -eq 1 ]
	"$PMUFLAME" list --json page-faults | jq -e 'any(.[]; .name == "page-faults" and .opens)' >/dev/null
	run -0 "$PMUFLAME" doctor
	[[ $output == *perf_event_paranoid* ]]
	"$PMUFLAME" doctor --json | jq -e . >/dev/null
}
