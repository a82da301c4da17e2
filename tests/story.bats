#!/usr/bin/env bats
# What docs/workflow.md tells, from the first look to the job in CI.
bats_require_minimum_version 1.5.0

load live

EXAMPLE=${srcdir:?}/docs/ci-example
PYTHON=${PYTHON:-/usr/bin/python3}

setup()
{
	live_setup
}

# line_of FILE TEXT: where it stands first.
line_of()
{
	grep -nF -m 1 "$2" "$1" | cut -d: -f1
}

# step NAME [ARG...]: one run, judged, whose profile is NAME.pb.gz. The verdicts are in $output.
step()
{
	local name=$1
	shift
	run "$PMUFLAME" check --repeat 1 --max-repeat 1 -o "$name" backtest "$@"
	echo "$name: $output"
	mv "$name"/*.pb.gz "$name.pb.gz"
}

# removed PATTERN BEFORE NOW: the stacks with such a frame are (nearly) gone, says diff.
removed()
{
	"$PMUFLAME" diff --no-svg -e cpu-clock --focus "$1" "$2.pb.gz" "$3.pb.gz" >diff.txt
	head -n 1 diff.txt | grep -E '\((gone|-9[0-9]\.[0-9]+%)\)'
}

@test "three mistakes are named, each is seen to go, and the budget is met in the end" {
	python_setup
	"$PYTHON" -c 'import pandas, sqlalchemy' 2>/dev/null || skip "pandas or SQLAlchemy is not installed"
	cp "$srcdir"/tests/workloads/{backtest,signals}.py "$EXAMPLE/pmuflame.ini" .
	chmod 644 pmuflame.ini
	# 240 symbols take too long for the budget where a thousand rows take 15 ms: as many as fit this machine.
	symbols=$("$PYTHON" -c 'import pandas, time
frame = pandas.DataFrame({"close": range(20000), "volume": 1.5})
def seconds():
    start = time.process_time()
    for _, row in frame.iterrows(): row["close"]
    return time.process_time() - start
print(round(240 * 0.3 / min(seconds() for _ in range(4))))')
	sed -i "s|^command = .*|command = $PYTHON -B backtest.py --symbols $symbols|" pmuflame.ini

	step before
	[ "$status" -eq 1 ]
	[ "$(grep -c '^missed' <<<"$output")" = 2 ]
	"$PMUFLAME" advise before.pb.gz >advice.txt
	cat advice.txt
	rows=$(line_of signals.py 'in frame.iterrows()')
	profit=$(line_of backtest.py 'in frame.iterrows()')
	query=$(line_of backtest.py 'connection.execute(query, {')
	detector=$(line_of signals.py '    detector = Detector(SETTINGS)')
	grep -A 1 "signals_per_bar (signals.py:$rows)$" advice.txt | grep '\[iterrows\]'
	grep -A 1 "profit_per_row (backtest.py:$profit)$" advice.txt | grep '\[iterrows\]'
	grep -A 1 "load_one_by_one (backtest.py:$query)$" advice.txt | grep '\[query-per-iteration\]'
	grep -A 1 "signals_per_bar (signals.py:$detector)$" advice.txt | grep '\[object-per-iteration\]'

	step rows --mended=rows
	removed iterrows before rows
	step query --mended=rows,query
	removed load_one_by_one rows query
	step detector --mended=rows,query,detector
	removed 'Detector\.__init__' query detector
	"$PMUFLAME" advise detector.pb.gz >advice.txt
	run ! grep -E '^[0-9]+\.' advice.txt

	step after --mended
	grep -E '^met .*cpu-clock/bar < 10ms' <<<"$output"
	# Others may have had the processors meanwhile.
	if jq -e '.cases[0] | .seconds.median * 1e9 < 1.3 * .events[0].median' after/summary.json; then
		[ "$status" -eq 0 ]
	fi
}

@test "the job in CI fails on what a commit adds, and not on what it leaves as it was" {
	cat >pmuflame.ini <<-'END'
		[target signal]
		command = signal --bars 20000
		work = ^bars +(\d+)
		unit = bar
	END
	git init -q -b main .
	git config user.name test
	git config user.email test@localhost
	git add pmuflame.ini
	git commit -qm base
	PATH=${PMUFLAME%/*}:$PATH
	export GITHUB_STEP_SUMMARY=$PWD/step.md
	run "$EXAMPLE/check-budgets" main 'regress(page-faults) < 5%' signal
	echo "$output"
	[ "$status" -eq 0 ]
	sed -i 's/20000/26000/' pmuflame.ini
	run "$EXAMPLE/check-budgets" main 'regress(page-faults) < 5%' signal
	echo "$output"
	[ "$status" -eq 1 ]
	grep -q '^missed .*regress(page-faults) < 5%' <<<"$output"
	[ "$(grep -c 'regress(page-faults)' step.md)" = 2 ]
	grep -q '<failure' budgets.xml
	[ "$(git worktree list | wc -l)" = 1 ]
	# What cannot be measured at the other commit is no budget that is met.
	run "$EXAMPLE/check-budgets" main 'regress(nonsense) < 5%' signal
	[ "$status" -eq 125 ]
	[[ "$output" = *nonsense* ]]
	# A commit that is none leaves nothing behind, and git's sentence alone.
	mkdir places
	TMPDIR=$PWD/places run "$EXAMPLE/check-budgets" nosuch 'regress(page-faults) < 5%' signal
	[ "$status" -eq 128 ]
	[ "${#lines[@]}" -eq 1 ]
	[ -z "$(ls places)" ]
}

@test "scripts say what they do not know in one sentence" {
	for script in hot-paths 'hot-paths tomorrow' 'hot-paths all cobol' 'hot-paths all c d' 'sweep-example x'; do
		# shellcheck disable=SC2086 # a script and its arguments
		run "$srcdir"/scripts/$script
		[ "$status" -eq 1 ]
		[ "${#lines[@]}" -eq 1 ]
		[[ "$output" = *usage:* ]]
	done
}
