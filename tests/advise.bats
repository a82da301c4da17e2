#!/usr/bin/env bats
# What a profile suggests to try: from stacks that are known, and on programs with known mistakes.

load live.bash

PYTHON=/usr/bin/python3
FOLDED=${srcdir:?}/tests/golden/advise.folded

setup()
{
	export XDG_CONFIG_HOME=${BATS_TEST_TMPDIR:?}/config
	cd "$BATS_TEST_TMPDIR" || return
}

advise() { "${PMUFLAME:?}" advise "$@"; }

# findings FILE: "RULE FILE:LINE" of each piece of advice, in their order.
findings()
{
	advise --json "$1" >advice.json
	jq -r '.advice[] | "\(.rule) \(.at.file | sub(".*/"; "")):\(.at.line)"' advice.json
}

@test "advise: the text is as it was" {
	advise --as cpu-clock "$FOLDED" >advise.txt
	diff -u "$srcdir/tests/golden/advise.txt" advise.txt
	advise -n 1 --as cpu-clock - <"$FOLDED" >one.txt
	[ "$(grep -c '^[0-9]\. ' one.txt)" = 1 ]
	grep -q '^2 more: -n 0 shows all' one.txt
}

@test "advise: what is printed for programs" {
	advise --json --as cpu-clock "$FOLDED" >a.json
	jq -e '.schema == 1 and (.advice | length) == 3 and (.not_judged | length) == 4
		and (.record | contains("dTLB-load-misses"))
		and (.advice[0] | .rule == "iterrows" and .gain == 0.4 and .loop == null
			and .at.function == "prices" and .at.line == 12
			and (.path | last.function == "DataFrame.iterrows")
			and (.evidence[0] | .event == "cpu-clock" and .share == 0.4 and .samples == 4000))
		and .advice[1].loop.line == 31' a.json
}

@test "advise: stacks whose event is not known are not judged" {
	run advise "$FOLDED"
	[ "$status" = 0 ]
	[[ $output == "No rule could be judged."* ]]
	run advise --as cache-misses "$FOLDED"
	[[ $output == "No rule could be judged."* ]]
	"${builddir:?}/tests/tools/svg_sample" normal pprof >p.pb.gz
	run advise --as cycles p.pb.gz
	[ "$status" = 2 ]
	[[ $output == *"--as is for files that do not say what they count, and this one says 'cpu-clock'"* ]]
}

@test "advise: rules of the user's" {
	mkdir -p "$XDG_CONFIG_HOME/pmuflame"
	printf '[rule iterrows]\noff = yes\n' >"$XDG_CONFIG_HOME/pmuflame/advice.ini"
	printf '[rule mine]\ntitle = m\e[31m\ntry = t\nframe = ^prices$\nevidence = share(time) >= 1%%\n' >mine.ini
	run advise --rules mine.ini --as cpu-clock "$FOLDED"
	[ "$status" = 0 ]
	[[ $output == *"main (backtest.py:60)"*"m?[31m [mine]"* ]]
	[[ $output != *iterrows* ]]
	echo 'colour = red' >>mine.ini
	run advise --rules mine.ini "$FOLDED"
	[ "$status" = 125 ]
	[[ $output == *"mine.ini:6: a rule has no 'colour'"* ]]
	run advise --rules none.ini "$FOLDED"
	[ "$status" = 125 ]
	[[ $output == *"cannot open 'none.ini'"* ]]
	run advise
	[ "$status" = 2 ]
}

@test "advise: a ratio names what it is of" {
	"${builddir:?}/tests/tools/svg_sample" normal pprof >p.pb.gz
	printf '[rule mine]\ntitle = t\ntry = t\nevidence = ms / time >= 1e-9\n' >mine.ini
	run advise -n 1 --rules mine.ini p.pb.gz
	[[ $output == "1. 0.00000100 ±0."*" ms per time: "* ]]
	advise --json -n 1 --rules mine.ini p.pb.gz | jq -e '.advice[0].evidence[0].event == "ms"'
}

@test "advise: the command to verify by can be pasted" {
	"${builddir:?}/tests/tools/svg_sample" normal pprof >"a b.pb.gz"
	printf '[rule mine]\ntitle = t\ntry = t\nevidence = share(time) >= 1%%\n' >mine.ini
	run advise -n 1 --rules mine.ini "a b.pb.gz"
	[[ $output == *"then: pmuflame diff -e cpu-clock 'a b.pb.gz'"* ]]
	run advise -n 1 --rules mine.ini "a b.pb.gz" "a b.pb.gz"
	[[ $output == *"then: pmuflame diff -e cpu-clock BEFORE AFTER"* ]]
}

# The place of a pattern in a workload, as findings() has it.
place() { grep -n "$2" "$srcdir/tests/workloads/$1.py" | sed "s/:.*//;s/^/$1.py:/;q"; }

# Profile the backtest with these options, and say what is found.
backtest()
{
	"$PMUFLAME" -q -F 4000 -e cpu-clock,page-faults -o out/ -- \
		"$PYTHON" "$srcdir/tests/workloads/backtest.py" --symbols 60 "$@" >/dev/null
	findings out/backtest.pb.gz | sort
}

@test "advise: the three mistakes of the backtest at their lines, and none once mended" {
	python_setup
	"$PYTHON" -c 'import pandas, sqlalchemy' || skip "there is no pandas, or no sqlalchemy"
	object="object-per-iteration $(place signals '  *detector = .*Detector(SETTINGS)')"
	query="query-per-iteration $(place backtest ' connection.execute(query, {')"
	rows="iterrows $(place backtest 'frame.iterrows')
iterrows $(place signals 'frame.iterrows')"
	[ "$(backtest)" = "$rows
$object
$query" ]
	[ "$(backtest --mended detector)" = "$rows
$query" ]
	[ "$(backtest --mended query,detector)" = "$rows" ]
	[ -z "$(backtest --mended)" ]
}

@test "advise: nothing of counters that were not recorded, nor of programs that do well" {
	live_setup
	for program in 'dataframe --passes 1' signal backtest; do
		# shellcheck disable=SC2086 # options
		"$PMUFLAME" -q -F 4000 -e cpu-clock -o out/ -- $program >/dev/null
		[ -z "$(findings "out/${program%% *}.pb.gz")" ]
		jq -e '.not_judged | contains(["across-memory", "cache-misses", "branch-misses",
			"page-fault-storm"])' advice.json
	done
}
