#!/usr/bin/env bats
# Profiles that outlive their run: what is drawn from the file is what the run drew, and other programs
# read the file.

bats_require_minimum_version 1.5.0
load live.bash

setup()
{
	live_setup
}

formats=svg,html,folded,speedscope,callgrind,json

# same A B: all files of folder A are in B, too, byte for byte.
same()
{
	local file n=0
	for file in "$1"/*; do
		cmp "$file" "$2/${file##*/}" || return
		n=$((n + 1))
	done
	[ "$n" -gt 1 ]
}

# The totals that the profile must have, a line for each sample type.
expected_totals()
{
	number '.events[] | "\(.event)/\(if .unit == "ns" then "nanoseconds" else "count" end) " +
		"\((.weight + .unsampled) * .scale | round)", "\(.event).samples/count \(.samples)"'
}

# refused STATUS WORDS ARGS...: one sentence, with these words, and no file.
refused()
{
	local status=0
	"$PMUFLAME" render "${@:3}" >printed 2>why || status=$?
	cat printed why
	[ "$status" -eq "$1" ] && [ ! -s printed ] && [ "$(wc -l <why)" -eq 1 ] && grep -qiE -- "$2" why
}

@test "a profile draws what its run drew, byte for byte" {
	profile -q --format "$formats" --threads yes -e cpu-clock -e page-faults@1 -F 1999 -- threads
	run -0 "$PMUFLAME" render --format "$formats,pprof" --threads yes -o again/ out/threads.pb.gz
	[ "${lines[0]}" = again/threads.cpu-clock.svg ]
	same out again
	mkdir piped
	gzip -dc out/threads.pb.gz |
		"$PMUFLAME" render --format "$formats,pprof" --threads yes -o piped/threads -
	same out piped
}

@test "Python lines, joined stacks and the kernel keep their kinds" {
	profile -q -e page-faults@1 --stack-bytes 8192 -- /usr/bin/python3 \
		"${srcdir:?}/tests/workloads/pyframes.py" expected
	grep -q 'pyframes\.py:[0-9].*_\[k\]' out/pyframes.page-faults.folded
	profile -q -e cpu-clock --stack-bytes 8192 -- edge recurse --times 300 --seconds 0.5
	[ "$(number '.events[0].joined_stacks')" -gt 0 ]
	for name in pyframes edge; do
		"$PMUFLAME" render --format svg,folded,pprof -o again/ "out/$name.pb.gz"
	done
	same out again
}

@test "without -o the pictures get the profile's name, and nothing of the run is renamed" {
	"$PMUFLAME" -q -e cpu-clock -- ratio --seconds 0.1
	first=$(cksum <ratio.pb.gz)
	"$PMUFLAME" -q -e cpu-clock --format folded -- ratio --seconds 0.1
	[ "$(cksum <ratio.prev.pb.gz)" = "$first" ]
	rm ratio.cpu-clock.svg
	run -0 "$PMUFLAME" render ratio.pb.gz
	[ "$output" = ratio.cpu-clock.svg ]
	cp ratio.cpu-clock.svg before
	run -0 "$PMUFLAME" render --title "a < b" ratio.pb.gz
	[ ! -e ratio.prev.cpu-clock.svg ]
	grep -q '<title id="pmf-title">a &lt; b: cpu-clock</title>' ratio.cpu-clock.svg
	run ! cmp -s before ratio.cpu-clock.svg
}

@test "several profiles are one: their numbers are added" {
	profile -q -e cpu-clock,page-faults -o a -- ratio --seconds 0.1
	one=$(number '.events[0] | .weight + .unsampled')
	profile -q -e cpu-clock -o b -- ratio --seconds 0.1
	two=$(number '.events[0] | .weight + .unsampled')
	run -0 "$PMUFLAME" render --format folded,svg a.pb.gz b.pb.gz
	[ "${lines[0]}" = merged.cpu-clock.folded ]
	[ "$(weight merged.cpu-clock.folded)" -eq $((one + two)) ]
	cmp a.page-faults.folded merged.page-faults.folded
	grep -q "only some of the merged profiles have 'page-faults'" merged.page-faults.svg
	grep -q "2 profiles are added up" merged.cpu-clock.svg
}

@test "Go's pprof reads every sample type and its total" {
	command -v go >/dev/null || skip "go is not installed"
	# Later ones build it first, which takes minutes.
	[ -x "$(go env GOTOOLDIR)/pprof" ] || [ -n "${PMF_LONG-}" ] || skip "this go has no pprof yet"
	profile -q -e cpu-clock,page-faults -- threads
	export PPROF_TMPDIR=$PWD
	while read -r type total; do
		# Units that pprof knows are left as they are.
		go tool pprof -sample_index="${type%/*}" -unit="${type##*/}" -top -nodecount=1 out/threads.pb.gz \
			>top 2>errors || { cat errors >&2; return 1; }
		grep -qE "of ${total}(ns)? total" top || { echo "no $total:" >&2; cat top >&2; return 1; }
	done < <(expected_totals)
	go tool pprof -top out/threads.pb.gz 2>/dev/null | grep -q '^Type: cpu-clock'
	go tool pprof -raw out/threads.pb.gz 2>/dev/null | grep -q 'process:\[threads\]'
}

@test "npm's pprof-format reads every sample type and its total" {
	command -v node >/dev/null || skip "node is not installed"
	profile -q -e cpu-clock,page-faults -- threads
	run node "${srcdir:?}/tests/browser/pprof_totals.mjs" out/threads.pb.gz
	[ "$status" -ne 77 ] || skip "pprof-format is not installed: npm ci in tests/browser"
	[ "$status" -eq 0 ]
	diff <(expected_totals) <(printf '%s\n' "$output")
}

@test "what cannot be drawn is said in one sentence" {
	refused 2 'no profile to draw'
	refused 2 "does not know '--nonsense'" --nonsense x.pb.gz
	refused 2 "does not know '-z'" -zq x.pb.gz
	refused 2 "does not know '--help=x'" --help=x
	refused 2 "needs a value" -o
	refused 2 "format 'png'" --format png x.pb.gz
	refused 125 "cannot open 'missing.pb.gz'" missing.pb.gz
	refused 125 'folder' .
	: >empty
	refused 125 "'empty' is empty" empty
	echo 'some text' >text
	refused 125 'no profile that pmuflame knows' text
	"$PMUFLAME" -q -e cpu-clock -o probe -- true
	head -c 100 probe.pb.gz >cut.pb.gz
	refused 125 "'cut.pb.gz' cannot be read: its end is missing" cut.pb.gz
	refused 125 'cannot write' -o missing/dir/x probe.pb.gz
	refused 125 'File name too long' -o "$(printf 'y%.0s' {1..250})" probe.pb.gz
	refused 125 'would be overwritten, and is read' --format pprof probe.pb.gz
}

@test "the profile is never written through a symlink, and is the caller's under sudo" {
	echo precious >victim
	ln -s victim x.pb.gz
	"$PMUFLAME" -q -e cpu-clock -o x -- true
	[ "$(cat victim)" = precious ] && [ ! -L x.pb.gz ]
	[ "$(id -u)" -eq 0 ] || skip "sudo is for root"
	SUDO_UID=12345 SUDO_GID=12346 "$PMUFLAME" -q -e cpu-clock -o y -- true
	[ "$(stat -c %u:%g y.pb.gz)" = 12345:12346 ]
}
