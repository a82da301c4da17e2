#!/usr/bin/env bats
# The table of a saved profile, and --focus and --ignore everywhere.

load live.bash

# One profile for all, of threads that do the work of two functions.
setup()
{
	live_setup
	cd "${BATS_FILE_TMPDIR:?}" || return
	[ -e ratio.pb.gz ] || "$PMUFLAME" -q -F 2000 -e cpu-clock,page-faults --summary s.json \
		-o ./ -- ratio --seconds 0.5 >/dev/null
}

top() { "$PMUFLAME" top ratio.pb.gz "$@"; }

@test "top: the table's numbers are the run's" {
	top --json -e cpu-clock >top.json
	jq -e --slurpfile s s.json '
		($s[0].events[] | select(.event == "cpu-clock")) as $e | (.events | length) == 1 and
		(.events[0] | ([.rows[].self] | add) - .shown | fabs < 1) and
		.events[0].shown == $e.counted and .events[0].samples == $e.samples and
		([.events[0].rows[] | select(.kind != "special") | {name, self, samples_self}][:3] ==
		[$e.functions[:3][] | {name, self, samples_self: .samples}])' top.json
}

@test "top: what costs three times as much is on top" {
	within "$(top --json -e cpu-clock | jq '[.events[0].rows[] |
		select(.name == "cost_three" or .name == "cost_one") | .total] | .[0] / .[1]')" 2.1 4.6
	[ "$(top -e cpu-clock --sort total -n 40 | grep -c ' cost_')" = 2 ]
}

@test "top: text fits, and says what was left out" {
	top -n 3 >text
	[ "$(grep -c '^cpu-clock: ' text)" = 1 ]
	[ "$(grep -c '^page-faults: ' text)" = 1 ]
	[ "$(grep -c ' in [0-9]* more$' text)" -ge 1 ]
	[ "$(sed -n '/^cpu-clock/,/^$/p' text | grep -c '^ *[0-9.]*%  *[0-9.-]')" = 3 ]
}

@test "top: lines, modules, threads and processes add up to the whole" {
	for by in function line module thread process; do
		top --json --by "$by" >"$by.json"
		jq -e 'all(.events[]; ([.rows[].self] | add) - .shown | fabs < 1)' "$by.json"
	done
	jq -e '.events[0].rows | length == 1 and .[0].name == "ratio"' process.json
	jq -e 'any(.events[0].rows[]; .name == "ratio" and .kind == "native")' module.json
}

@test "top: lines have all counters side by side" {
	[ "$(top --lines --json)" = "$(top --by line --json)" ]
	top --lines -n 3 >text
	grep -q '^ *cpu-clock  *page-faults$' text
	[ "$(grep -c '^ *self  *total  *samples  *self  *total  *samples .*  line$' text)" = 1 ]
	[ "$(grep -c '^ *[0-9.]*%' text)" = 4 ] # and what the others have
}

@test "top: threads are told apart" {
	"$PMUFLAME" -q -F 2000 -e cpu-clock -o threads -- threads --threads 3 --seconds 0.4 >/dev/null
	"$PMUFLAME" top --json --by thread threads.pb.gz >threads.json
	jq -e '[.events[0].rows[] | select(.kind == "thread" and .samples_self > 5 and
		(.name | test("^worker-[0-2] \\([0-9]+\\)$")) and .module == "threads")] |
		length == 3' threads.json
	"$PMUFLAME" render --threads yes -o drawn threads.pb.gz
	[ "$(grep -c '>worker-[0-2] ([0-9]*)<' drawn.cpu-clock.svg)" = 3 ]
}

@test "top: CSV has a row for each of JSON's" {
	top --csv >top.csv
	top --json >top.json
	[ "$(wc -l <top.csv)" = "$(jq '[.events[].rows[]] | length + 1' top.json)" ]
	[ "$(head -n 1 top.csv | cut -d, -f 1-3)" = event,unit,name ]
}

@test "top: a ratio is that of two costs" {
	top --json --ratio cpu-clock/page-faults -e cpu-clock >top.json
	jq -e '.events[0].ratio == "cpu-clock per page-faults"' top.json
	run top --ratio cpu-clock/nonsense
	[ "$status" = 2 ]
	[[ $output == *"cpu-clock/page-faults"* ]]
}

@test "top: --focus and --ignore split the whole, and say so" {
	top --json -e cpu-clock --focus '^cost_one$' >focus.json
	top --json -e cpu-clock --ignore '^cost_one$' >ignore.json
	jq -e --slurpfile i ignore.json '.events[0] as $f | $i[0].events[0] as $i |
		$f.shown > 0 and ($f.shown + $i.shown - $f.whole | fabs) < 1 and
		all($i.rows[]; .name != "cost_one") and all($f.rows[]; .name != "cost_three")' focus.json
	top --focus '^cost_one$' | grep "^shown: cpu-clock .* samples · only stacks with '^cost_one\$'$"
	"$PMUFLAME" render --focus '^cost_one$' -o part ratio.pb.gz
	grep -q 'only stacks with &#39;^cost_one\$&#39;' part.cpu-clock.svg
}

@test "a run's pictures are filtered, its profile is whole" {
	"$PMUFLAME" -q --focus '^nothing$' -F 2000 -e cpu-clock -o live --summary live.json \
		-- ratio --seconds 0.1 >/dev/null
	jq -e '.events[0] | .shown_samples == 0 and .samples > 0' live.json
	grep -q 'The filter leaves nothing' live.cpu-clock.svg
	"$PMUFLAME" top --json live.pb.gz | jq -e '.events[0].shown > 0'
}

@test "top: mistakes are sentences" {
	run top --focus 'a('
	[ "$status" = 2 ]
	[[ $output == *"--focus 'a('"*"at character 3"* ]]
	run top --by nothing
	[ "$status" = 2 ]
	run top -e nothing
	[ "$status" = 2 ]
	[[ $output == *"cpu-clock, page-faults"* ]]
	run "$PMUFLAME" top
	[ "$status" = 2 ]
	run "$PMUFLAME" top missing.pb.gz
	[ "$status" = 125 ]
}

@test "top: a pattern made to hang ends" {
	run timeout 20 "$PMUFLAME" top --focus '^((.+.?)+)+\1$' ratio.pb.gz
	[ "$status" = 0 ]
	[[ $output == *"too costly to match"* ]]
}
