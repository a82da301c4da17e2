#!/usr/bin/env bats
# Formats for other programs, read by those.

bats_require_minimum_version 1.5.0
load live.bash

setup()
{
	live_setup || return
	# A function of a header is several in callgrind's eyes, where files spell its path differently.
	"$PMUFLAME" --summary s.json -o out/ --format folded,speedscope,callgrind,json --inline no \
		-e cpu-clock,page-faults@1 -- deep --seconds 0.3
}

# By event: the sum of its folded file.
folded_sums()
{
	for event in cpu-clock page-faults; do
		weight "out/deep.$event.folded"
	done
}

@test "speedscope: the stacks of each event weigh what the folded ones do" {
	jq -e '[.profiles[] | .type] == ["sampled", "sampled"] and
		[.profiles[].unit] == ["nanoseconds", "none"] and
		all(.profiles[]; (.samples | length) == (.weights | length) and
			(.weights | add) == .endValue) and
		(.shared.frames | length) > ([.profiles[].samples[][]] | max)' out/deep.speedscope.json
	[ "$(jq '.profiles[].endValue' out/deep.speedscope.json)" = "$(folded_sums)" ]
}

# callgrind_has EVENT self|total FUNCTIONS
callgrind_has()
{
	local inclusive=no
	[ "$2" = self ] || inclusive=yes
	callgrind_annotate --threshold=100 --inclusive="$inclusive" --show="${1/-/_}" --show-percs=no \
		out/deep.callgrind >annotated 2>warnings
	[ ! -s warnings ]
	jq -r --arg event "$1" --arg cost "$2" '
		.events[] | select(.event == $event).functions[:5][] | "\(.[$cost]) \(.name)"' s.json >costs
	# CPU time may be all in one function; the page faults are the loader's, in many.
	[ "$(wc -l <costs)" -ge "$3" ]
	while read -r cost name; do
		grep -F ":$name [" annotated | tr -d , | awk -v want="$cost" '
			{ n++; if ($1 != want) exit 1 } END { exit n != 1 }'
	done <costs
}

@test "callgrind: callgrind_annotate finds every function's own and inclusive cost" {
	command -v callgrind_annotate || skip "valgrind is not installed"
	for cost in self total; do
		callgrind_has cpu-clock "$cost" 1
		callgrind_has page-faults "$cost" 5
	done
}

# stacks FILE: by name, as that is all that a folded file has of a function: the program and its loader
# both have a _start.
stacks()
{
	awk '{ n = $NF; sub(/ [0-9]+$/, ""); sum[$0] += n } END { for (s in sum) print s, sum[s] }' "$1" | sort
}

@test "folded: what was written is read again, and drawn with the rest" {
	"$PMUFLAME" render --format folded,callgrind,speedscope,json,svg -o again/ out/deep.cpu-clock.folded
	cmp <(stacks out/deep.cpu-clock.folded) <(stacks again/deep.cpu-clock.count.folded)
	"$PMUFLAME" render --format folded -o again/ - <out/deep.page-faults.folded
	cmp <(stacks out/deep.page-faults.folded) <(stacks again/profile.count.folded)
	jq -e '.events[0] | .counted == null and .weight > 0' again/deep.cpu-clock.json
	printf 'a;b 1\nfoo bar\n' >wrong.folded
	run -125 "$PMUFLAME" render wrong.folded
	[ "$output" = "pmuflame: 'wrong.folded' cannot be read: line 2: it does not end with a stack's count ('foo bar')" ]
}

@test "a pipe is read as a file is" {
	for file in deep.pb.gz deep.page-faults.folded; do
		"$PMUFLAME" render --format folded -o file/ - <"out/$file"
		"$PMUFLAME" render --format folded -o pipe/ - < <(cat "out/$file")
	done
	[ "$(stat -c %s out/deep.page-faults.folded)" -gt 512 ] # more than is read to know what it is
	diff -r file pipe
	run -0 --separate-stderr "$PMUFLAME" top --csv - < <(printf 'a;b 3\n')
	[[ "$output" == *'"b","native","","",,3,'* ]]
}

@test "json: as the manual says" {
	[ "$(jq -c '[.stacks[].values] | transpose | map(add) | .[]' out/deep.json)" = "$(folded_sums)" ]
	jq -e --slurpfile s s.json '[.events[] | [.event, .samples, .counted, .weight]] ==
		[$s[0].events[] | [.event, .samples, .counted, .weight]]' out/deep.json
	jq -e '. as $p | [.stacks[].samples] | transpose | map(add) == [$p.events[].samples]' out/deep.json
	jq -e 'any(.events[0].ledger[]; startswith("rate 997 Hz"))' out/deep.json

	# The manual's example, for the last program of a path in it.
	sed -n '/^\.SH JSON/,/^\.EE/p' "${srcdir:?}/man/pmuflame.1" | sed '1,/^\.EX/d;$d' |
		sed "s/\\\\(aq/'/g;s/\\\\e/\\\\/g;s/\\\\-/-/g;s,backtest\.json,out/deep.json," >example
	sh ./example >widest
	[ "$(wc -l <widest)" -eq 10 ]
	grep -q '^[0-9]* deep;_start;.*main;' widest
}
