#!/usr/bin/env bats
# Two profiles compared: what changed, and what is only chance.

load live.bash

# Made-up profiles, of which it is known what differs: see tests/tools/sample_profile.c.
setup()
{
	cd "${BATS_TEST_TMPDIR:?}" || return
	"${builddir:?}/tests/tools/svg_sample" normal pprof >base.pb.gz
	"$builddir/tests/tools/svg_sample" changed pprof >now.pb.gz
}

diff_json() { "${PMUFLAME:?}" diff --no-svg --json "$@"; }
row() { jq -c --arg n "$1" ".events[0].rows[] | select(.name == \$n) | $2" d.json; }

@test "diff: what the samples support is marked, the rest is not" {
	diff_json base.pb.gz now.pb.gz >d.json
	[ "$(row 'market::Portfolio::mark_to_market(double)' .self.changed)" = true ]
	[ "$(row 'save_state(std::string const&)' '[.self.before, .self.changed]')" = '[0,true]' ]
	[ "$(row DOUBLE_add_AVX2 '[.self.now, .self.changed]')" = '[0,true]' ]
	[ "$(row malloc '[.total.before == .total.now, .total.changed]')" = '[true,false]' ]
	[ "$(row 'load_csv(char const*)' '[.total.tested, .total.changed]')" = '[true,false]' ]
	jq -e '.per | startswith("per run")' d.json
}

@test "diff: a profile is like itself" {
	diff_json now.pb.gz now.pb.gz >d.json
	jq -e 'all(.events[]; .changed == 0 and all(.rows[]; .self.before == .self.now))' d.json
}

@test "diff: costs are divided by what was asked" {
	diff_json base.pb.gz now.pb.gz >d.json
	before=$(row malloc .total.before)
	diff_json --by work=1,2 base.pb.gz now.pb.gz >d.json
	[ "$(row malloc .total.before)" = "$((2 * before))" ]
	diff_json --by total base.pb.gz now.pb.gz | jq -e '.events[0] | (.before - .now | fabs) < 1'
	diff_json --by page-faults base.pb.gz now.pb.gz | jq -e '.per | startswith("per '\''page-faults'\''")'
	run diff_json --by work=1 base.pb.gz now.pb.gz
	[ "$status" = 2 ]
	run diff_json --by nothing base.pb.gz now.pb.gz
	[ "$status" = 125 ]
	[[ $output == *"'nothing' is no event that both profiles have"* ]]
}

@test "diff: a filter is for both" {
	diff_json --focus python base.pb.gz now.pb.gz >d.json
	[ "$(row DOUBLE_add_AVX2 .self.changed)" = true ]
	[ -z "$(row malloc .self)" ]
	run "$PMUFLAME" diff --no-svg --focus python base.pb.gz now.pb.gz
	[[ $output == *"shown: cpu-clock (before) "*"shown: cpu-clock "* ]]
}

@test "diff: the table, and a picture of each run" {
	run "$PMUFLAME" diff -o out/ -e cpu-clock base.pb.gz now.pb.gz
	[ "$status" = 0 ]
	[[ $output == *" changed; (in brackets) what the samples do not support"* ]]
	[ "$(find out -type f | wc -l)" = 2 ]
	grep -q 'save_state' out/now.cpu-clock.diff.svg
	grep -q 'DOUBLE_add' out/now.cpu-clock.diff-before.svg
	run grep -l 'id="pmf-labels".*DOUBLE_add' out/now.cpu-clock.diff.svg
	[ "$status" = 1 ]
	if command -v xmllint >/dev/null; then
		xmllint --noout out/*.svg
	fi
}

@test "diff: a run is compared with the one before it" {
	live_setup
	"$PMUFLAME" -q -F 2000 -e cpu-clock -- ratio --rounds 2000 >/dev/null
	run "$PMUFLAME" diff --no-svg ratio.pb.gz
	[ "$status" = 125 ]
	[[ $output == *"no run before"* ]]
	run "$PMUFLAME" diff --no-svg missing.pb.gz
	[ "$status" = 125 ]
	[[ $output == *"cannot open 'missing.pb.gz'"* ]]
	# Twice as much work is found, per run; it is the same per unit of it.
	"$PMUFLAME" -q -F 2000 -e cpu-clock -- ratio --rounds 4000 >/dev/null
	diff_json ratio.pb.gz >d.json
	[ "$(row cost_three .total.changed)" = true ]
	within "$(row cost_three '.total.now / .total.before')" 1.6 2.5
	diff_json --by work=2000,4000 ratio.pb.gz >d.json
	within "$(row cost_three '.total.now / .total.before')" 0.8 1.25
}

@test "diff: profiles without a common event are refused" {
	live_setup
	"$PMUFLAME" -q -e context-switches -o switches -- true
	run diff_json base.pb.gz switches.pb.gz
	[ "$status" = 125 ]
	[[ $output == *"no event in common"* ]]
}
