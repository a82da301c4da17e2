#!/usr/bin/env bats
# Budgets: verdicts, exit statuses and what they are written to. Page faults are the counter that repeats
# itself here; how verdicts follow from numbers is for tests/unit/test_budget.c.
bats_require_minimum_version 1.5.0

load live

setup()
{
	live_setup
	cat >pmuflame.ini <<-'END'
		[target faults]
		command = dd if=/dev/zero of=/dev/null count=1 bs=8M 2>&1 && echo 250 bars
		work = (\d+) bars
		unit = bar
		[budget faults]
		expect = page-faults/bar < 12
		expect = page-faults/bar > 5
		[budget stable]
		target = faults
		baseline = base
		expect = regress(page-faults) < 2%
	END
	chmod 644 pmuflame.ini
}

# check_stable: the verdict on the [budget stable] of a fresh measurement.
check_stable()
{
	"$PMUFLAME" check --repeat 3 faults
}

@test "each budget has a line, and the exit status says whether all are met" {
	"$PMUFLAME" check --repeat 3 --save-baseline
	[ -s base/summary.json ]
	run --separate-stderr "$PMUFLAME" check --repeat 3
	echo "$output"
	[ "$status" -eq 0 ]
	[ "$(grep -c '^met  ' <<<"$output")" = 3 ]
	grep -E '^met +faults: page-faults/bar < 12: [89]\.[0-9]+ \(.* to .* in [0-9]+ runs\)' <<<"$output"
	grep -E '^met +stable: regress\(page-faults\) < 2%: [+-].*baseline [0-9]' <<<"$output"
	# shellcheck disable=SC2154 # run sets it
	[ -z "$stderr" ]
	sed -i 's/< 12$/< 7/' pmuflame.ini
	run --separate-stderr "$PMUFLAME" check --repeat 3 faults
	[ "$status" -eq 1 ]
	grep -E '^missed +faults: page-faults/bar < 7: [89]\.' <<<"$output"
	[ "$(grep -c '^met  ' <<<"$output")" = 2 ]
}

@test "the same program never regresses, and 5 % more always does" {
	local i runs=5
	[ -z "${PMF_LONG-}" ] || runs=50
	"$PMUFLAME" check --repeat 5 --save-baseline faults
	for ((i = 0; i < runs; i++)); do
		check_stable
	done
	sed -i 's/"host": *"[^"]*"/"host":"a quantum computer"/' base/summary.json
	run -0 check_stable
	[[ "$output" = *"another system, a quantum computer"* ]]
	sed -i 's/bs=8M/bs=8600K/' pmuflame.ini
	for ((i = 0; i < runs; i++)); do
		run check_stable
		[ "$status" -eq 1 ]
		grep -E '^missed +stable: regress\(page-faults\) < 2%: \+[45]' <<<"$output"
	done
}

@test "a command has the budgets of the command line" {
	run -0 --separate-stderr "$PMUFLAME" check --repeat 2 --max-repeat 2 -b 'page-faults < 5000' \
		-b 'share(cpu-clock, /^cost_/) > 50%' -b 's < 20' -o kept ratio --rounds 400
	echo "$output"
	grep -E '^met +ratio: share\(cpu-clock, /\^cost_/\) > 50%: [5-9][0-9]\.' <<<"$output"
	[ -s kept/ratio.1.pb.gz ]
	[ -s kept/ratio.2.pb.gz ]
	# What was kept can be judged again: the summary, or the profiles.
	run -0 "$PMUFLAME" check --from kept -b 'page-faults < 5000' -b 's < 20'
	run -1 "$PMUFLAME" check --from kept/summary.json -b 'page-faults < 5'
	run -0 "$PMUFLAME" check --from kept/ratio.1.pb.gz -b 'share(cpu-clock, nothing) < 5%'
	[[ "$output" = *"no sample has a function 'nothing'"* ]]
	run -0 "$PMUFLAME" check --from kept/ratio.1.pb.gz --baseline kept -b 'regress(page-faults) < 20%'
	rm kept/summary.json
	run -0 "$PMUFLAME" check --from kept -b 'share(cpu-clock, cost_three) > 20%'
	grep 'in 2 runs' <<<"$output"
}

@test "what cannot be measured is 125, and a missed budget comes before it" {
	run -125 "$PMUFLAME" check --repeat 2 -b 'no-such-event < 3' -b 'page-faults < 5000' true
	grep -E "^unknown +true: no-such-event < 3: 'no-such-event' is neither an event nor" <<<"$output"
	grep '^met ' <<<"$output"
	run -1 "$PMUFLAME" check --repeat 2 -b 'no-such-event < 3' -b 'page-faults < 5' true
	run -125 "$PMUFLAME" check -b 'page-faults < 5' sh -c 'exit 3'
	grep -E "^unknown .*ended with status 3" <<<"$output"
	run -125 "$PMUFLAME" check --repeat 2 -b 'regress(page-faults) < 5%' true
	grep -E '^unknown .*no baseline' <<<"$output"
	run -125 "$PMUFLAME" check --repeat 2 --baseline nowhere.json -b 'regress(page-faults) < 5%' true
	grep -E "^unknown .*nowhere.json" <<<"$output"
	run -125 "$PMUFLAME" check --repeat 2 -b 'task-clock < 500' true
	grep 'ns, us, ms or s' <<<"$output"
}

@test "misuse is 2 and says where" {
	run -2 "$PMUFLAME" check -b 'cycles < 12 bananas' true
	[[ "$output" = *'"cycles < 12 bananas": at "bananas" (column 13)'* ]]
	run -2 "$PMUFLAME" check true
	[[ "$output" = *"no budget to check"* ]]
	run -2 "$PMUFLAME" check --repeat 0 -b 's < 1' true
	run -2 "$PMUFLAME" check --save-baseline --repeat 1 -b 's < 1' true
	[[ "$output" = *"--baseline PATH"* ]]
	"$PMUFLAME" check --repeat 1 -b 's < 100' -o kept true
	run -2 "$PMUFLAME" check --from kept -b 's < 100' false
	[[ "$output" = *"'false' was not measured in what --from names"* ]]
	echo 'expect = s <' >>pmuflame.ini
	run -125 "$PMUFLAME" check
	[[ "$output" = *"pmuflame.ini:12: budget \"s <\": at its end"* ]]
}

@test "JUnit and Markdown hold any name" {
	printf '#!/bin/sh\ntrue\n' >$'<a|b>&\033[31m"\'`*\377'
	chmod +x ./*a*b*
	run -1 "$PMUFLAME" check --repeat 2 --junit j.xml --markdown m.md -b 'page-faults < 5' \
		-b 'page-faults > 5' -b "'<&|>' < 3" ./*a*b*
	[[ "$output" != *$'\033'* ]]
	run ! grep -q $'\033' j.xml m.md
	[ "$(xmllint --xpath 'string(//testsuite/@tests)' j.xml)" = 3 ]
	[ "$(xmllint --xpath 'count(//testcase/failure)' j.xml)" = 1 ]
	[ "$(xmllint --xpath 'count(//testcase/error)' j.xml)" = 1 ]
	[[ "$(xmllint --xpath 'string(//testcase[3]/@name)' j.xml)" = *"'<&|>' < 3" ]]
	# Three cells and a half in every row: nothing in a name ends one.
	[ "$(sed 's/\\.//g' m.md | awk -F'|' '{ print NF }' | sort -u)" = 6 ]
	grep -F '| **missed** |' m.md
}

@test "it works without an environment, and leaves nothing behind" {
	mkdir tmp
	run -0 env -i TMPDIR="$PWD/tmp" PATH=/usr/bin:/bin "$PMUFLAME" check --repeat 2 \
		-b 'page-faults < 5000' true </dev/null
	[ -z "$(ls -A tmp)" ]
	TMPDIR=$PWD/tmp "$PMUFLAME" check -b 's < 1' sh -c 'touch started; exec sleep 60' &
	local check=$! ended=0
	until [ -e started ]; do sleep 0.05; done
	kill -TERM "$check"
	wait "$check" || ended=$?
	[ "$ended" -eq 143 ]
	[ -z "$(ls -A tmp)" ]
}
