#!/usr/bin/env bats
# Sweeps: many runs under many events, stopped and gone on with, and what they leave.
bats_require_minimum_version 1.5.0

load live

setup()
{
	live_setup
	cat >pmuflame.ini <<-'END'
		[target spin]
		command = ratio --rounds {n} && echo did {n} laps
		events = cpu-clock
		work = did (\d+) laps
		unit = lap
		[target touch]
		command = ratio --rounds 200
		folder = .
	END
	chmod 644 pmuflame.ini
}

sweep()
{
	run --separate-stderr "$PMUFLAME" sweep "$@"
	echo "$output"
	# shellcheck disable=SC2154 # run sets it
	echo "$stderr"
}

finished()
{
	find "$1/runs" -name '*.pb.gz' ! -name '*.~part-*' | wc -l
}

# From summary.json of folder $1.
summary()
{
	jq -r "$2" "$1/summary.json"
}

@test "every target, three times: tables, pictures and profiles" {
	sweep --repeat 3 -e page-faults,task-clock -o out/ --vary n=300 all
	[ "$status" -eq 0 ]
	[[ "$output" == *'### spin: n=300'*'laps'*'### touch'* ]]
	[[ "$stderr" == *'are in out/' ]]
	[ "$(summary out '.cases | map(.target) | join(" ")')" = 'spin touch' ]
	[ "$(summary out '[.cases[].measured[] | .values | length] | unique | join(" ")')" = 3 ]
	[ "$(summary out '.cases[0].measured[] | select(.name == "work") | .values | join(" ")')" = '300 300 300' ]
	[ "$(summary out '.cases[0] | .command, .vary.n, .failed')" = $'ratio --rounds 300 && echo did 300 laps\n300\n0' ]
	for name in spin.n-300 touch; do
		[ -s "out/$name.html" ]
		[ -s "out/$name.page-faults.svg" ]
		[ "$(finished out)" = 6 ]
		# The pictures are of all runs together.
		"$PMUFLAME" render --format json -o "out/$name" "out/$name.pb.gz"
	done
	grep -q 'all runs of a sweep: 3 in 1 pass' out/touch.page-faults.svg
	[ "$(summary out '.cases[1].measured[] | select(.name == "page-faults") | .values | add')" = \
		"$(jq '.events[] | select(.event == "page-faults") | .counted' out/touch.json)" ]
	grep -q '^"spin","n=300","page-faults/lap"' out/summary.csv
	[ "$(head -n 1 out/summary.md)" = "$(head -n 1 <<<"$output")" ]
	/usr/bin/python3 -c 'import jsonschema' || skip "python3-jsonschema is not installed"
	/usr/bin/python3 "${srcdir:?}/tests/check_schema.py" "$srcdir/docs/summary.schema.json" out/summary.json
}

@test "what varies is put into the command, in every combination" {
	# shellcheck disable=SC2016 # the shell's in the sweep
	sweep -r 1 -e page-faults --vary a=1,2 --vary 'b=x y,' -o out/ -- sh -c 'echo "$0|$1"' '{a}' '<{b}>'
	[ "$status" -eq 0 ]
	[ "$(cat out/runs/*.out)" = $'1|<>\n1|<x y>\n2|<>\n2|<x y>' ]
	[ "$(summary out '.cases | map([.vary.a, .vary.b] | join(",")) | join(";")')" = '1,x y;1,;2,x y;2,' ]
	sweep -r 1 --vary typo=1 -o other/ true
	[ "$status" -eq 2 ]
	[[ "$stderr" == *"--vary typo=1 changes nothing: 'true' does not say {typo}" ]]
	[ ! -e other ]
}

@test "one case has report.html, in a folder of its own name" {
	sweep -r 2 -e page-faults,cpu-clock -- ratio --rounds 100
	[ "$status" -eq 0 ]
	[ -s ratio.sweep/report.html ]
	grep -q 'ratio: the sum of all runs' ratio.sweep/ratio.cpu-clock.svg
	sweep -r 2 -e page-faults,cpu-clock -- ratio --rounds 100
	[ "$status" -eq 2 ]
	[[ "$stderr" == *"'ratio.sweep' holds a sweep: go on with it (--resume)"* ]]
}

@test "killed in the middle, it goes on where it was" {
	local args=(-r 4 -e cpu-clock -o out/ -- ratio --seconds 0.3) pid first
	"$PMUFLAME" sweep "${args[@]}" >/dev/null 2>&1 3>&- &
	pid=$!
	until [ "$(finished out 2>/dev/null || echo 0)" -ge 1 ]; do sleep 0.02; done
	kill -KILL "$pid"
	wait "$pid" || true
	[ "$(finished out)" -lt 4 ]
	[ ! -e out/summary.json ]
	first=$(stat -c %Y.%i out/runs/ratio.p1.r1.pb.gz)
	# Another sweep than that one.
	sweep --resume "${args[@]//4/5}"
	[ "$status" -eq 2 ]
	[[ "$stderr" == *"is the plan of another sweep"* ]]
	# A profile that the disk did not keep is no finished run.
	echo broken >out/runs/ratio.p1.r3.pb.gz
	sweep --resume "${args[@]}"
	[ "$status" -eq 0 ]
	[ "$(finished out)" = 4 ]
	[ "$(stat -c %Y.%i out/runs/ratio.p1.r1.pb.gz)" = "$first" ]
	[ "$(summary out '.cases[0].measured[] | select(.name == "cpu-clock") | .values | map(. > 2e8) | unique | tostring')" = '[true]' ]
	[ -z "$(find out -name '*.~part-*')" ]
}

@test "only a sweep's own runs are taken for its runs, and all of them" {
	# Whatever the target is called.
	printf '[target a.part-b]\ncommand = true\n' >pmuflame.ini
	sweep -r 2 -e page-faults a.part-b
	[ "$(finished a.part-b.sweep)" = 2 ]
	inode=$(stat -c %i a.part-b.sweep/runs/a.part-b.p1.r1.pb.gz)
	sweep -r 2 -e page-faults --resume a.part-b
	[ "$status" -eq 0 ]
	[ "$(stat -c %i a.part-b.sweep/runs/a.part-b.p1.r1.pb.gz)" = "$inode" ]
	sweep -r 2 -e page-faults a.part-b
	[ "$status" -eq 2 ]
	# Runs of nobody knows what.
	rm a.part-b.sweep/plan.json
	sweep -r 2 -e page-faults a.part-b
	[ "$status" -eq 2 ]
	[[ "$stderr" == *"'a.part-b.sweep' holds a sweep"* ]]
	mkdir other elsewhere
	ln -s ../elsewhere other/runs
	sweep -r 2 -e page-faults -o other/ a.part-b
	[ "$status" -eq 2 ]
	[[ "$stderr" == *"'other/runs' is no folder, or a link"* ]]
	[ -z "$(ls elsewhere)" ]
}

@test "stopped by a signal, it keeps what is complete and says how to go on" {
	local pid
	"$PMUFLAME" sweep -r 9 -e cpu-clock -o out/ -- ratio --seconds 0.3 >table 2>said 3>&- &
	pid=$!
	until [ "$(finished out 2>/dev/null || echo 0)" -ge 2 ]; do sleep 0.02; done
	# One sweep at a time.
	sweep --resume -r 9 -e cpu-clock -o out/ -- ratio --seconds 0.3
	[ "$status" -eq 2 ]
	[[ "$stderr" == *"another sweep is at work in 'out'"* ]]
	kill -TERM "$pid"
	wait "$pid" && status=0 || status=$?
	[ "$status" -eq 143 ]
	grep -qx 'pmuflame: stopped after [2-8] of 9 runs; to go on: pmuflame sweep --resume -r 9 -e cpu-clock -o out/ -- ratio --seconds 0.3' said
	[ "$(summary out '.cases[0].measured[0].values | length')" = "$(finished out)" ]
	grep -q cpu-clock table
	[ -s out/report.html ]
	[ "$(summary out .cases[0].failed)" = 0 ]
}

@test "runs that fail are counted and left out" {
	# Every second run fails.
	sweep -r 4 -e page-faults -o out/ -- sh -c 'if rmdir odd 2>/dev/null; then exit 3; fi; mkdir odd'
	[ "$status" -eq 1 ]
	[[ "$stderr" == *"run 2 of 'sh' does not count: it ended with status 3"* ]]
	[ "$(summary out '.cases[0] | .failed, (.measured[0].values | length)')" = $'2\n2' ]
	[ "$(finished out)" = 2 ]
	# Without work in its output a run says nothing per unit of it.
	printf '[target dumb]\ncommand = true\nevents = page-faults\nwork = did (.*)\nunit = lap\n' >pmuflame.ini
	sweep -r 1 -o other/ dumb
	[ "$status" -eq 125 ]
	[[ "$stderr" == *"run 1 of 'dumb' does not count: the output of target 'dumb' does not say"* ]]
	sweep -r 3 -e page-faults -o third/ -- ./no-such
	[ "$status" -eq 125 ]
	[ "$(grep -c 'was not found' <<<"$stderr")" = 1 ]
	[[ "$stderr" == *'none of 3 runs succeeded' ]]
	# Nothing of it is in the way of the next.
	sweep -r 1 -e page-faults -o third/ -- true
	[ "$status" -eq 0 ]
}

@test "events that cannot run are named, and --strict ends with 1" {
	# shellcheck disable=SC2054 # one argument
	local args=(-r 1 -e page-faults,no-such-event,faults -o)
	sweep "${args[@]}" out/ -- true
	[ "$status" -eq 0 ]
	[[ "$stderr" == *"not measured here: no-such-event: no event is called 'no-such-event' here"* ]]
	[[ "$stderr" == *"not measured here: faults: it counts the same as 'page-faults'"* ]]
	[ "$(summary out '.skipped | map(.event) | join(" ")')" = 'no-such-event faults' ]
	sweep --strict "${args[@]}" other/ -- true
	[ "$status" -eq 1 ]
	[ -s other/report.html ]
	sweep -r 1 -e no-such-event -o third/ -- true
	[ "$status" -eq 125 ]
	[[ "$stderr" == *'no event can be measured here' ]]
	for args in '-e cpu-clock:q true' '-e @no-such true' '--repeat 0 true' '--vary x true' '--all -e cs true' ''; do
		# shellcheck disable=SC2086 # the words are separate
		run -2 "$PMUFLAME" sweep $args
	done
}

@test "--all takes every event once" {
	sweep -q -r 1 --all -o out/ -- true
	[ "$status" -eq 0 ]
	[ -z "$output$stderr" ]
	summary out '.cases[0].measured | map(.name)' >names
	grep -q page-faults names
	grep -q cpu-clock names
	run ! grep -E '"(faults|dummy)"' names
}

@test "it works from cron: no terminal, no HOME, a short PATH" {
	local ratio
	ratio=$(type -P ratio)
	env -i PATH=/usr/bin:/bin "$PMUFLAME" sweep -r 2 -e cpu-clock -o out/ -- "$ratio" --rounds 100 \
		<&- 2>&1 | cat >said
	grep -q '^| *cpu-clock' said
	[ -s out/summary.md ]
}
