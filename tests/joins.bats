#!/usr/bin/env bats
# Stacks that are deeper than their dumps, and what they are joined to.

setup()
{
	load live.bash
	live_setup
}

# joined_right BYTES COMMAND...: at least one stack that BYTES do not hold is joined, and whole dumps say
# that none is wrong.
joined_right()
{
	local numbers
	numbers=$("${builddir:?}/tests/tools/join_check" -F 4000 -s "$1" -v 5 -- "${@:2}" 2>wrong | tail -n 1)
	echo "$numbers"
	grep differs wrong || true
	jq -e '.joined >= 20 and .wrong == 0 and .unknown <= 0.01 * .joined' <<<"$numbers"
}

# whole: the part of the stacks that reach the root, in percent.
whole()
{
	number '.events[0] | 100 * (.rooted_stacks + .joined_stacks) / .samples'
}

@test "5,000 calls deep: whole by joining, to the last frame" {
	profile -e cpu-clock --stack-bytes 8192 -- edge recurse --times 5000 --seconds 1
	within "$(whole)" 99 100
	within "$(number '.events[0] | 100 * .joined_stacks / .samples')" 95 100
	awk '{ n = gsub(/;work_and_dig/, ""); if (n > d) d = n }
		END { exit !(d > 4900 && d <= 5000) }' out/edge.cpu-clock.folded
	# Between main and wl_burn is nothing else.
	within "$(folded_share out/edge.cpu-clock.folded \
		'^edge;_start;.*;main;run_recurse;(work_and_dig;)+wl_burn[; ]')" 97 100
	grep -q '"joined":\[' out/edge.cpu-clock.svg
	[ "$(number '.notes | map(select(.text | test("stack-bytes"))) | length')" = 0 ]
}

@test "a small dump shows what a large one does" {
	profile -e cpu-clock --stack-bytes 65528 -- edge recurse --times 300 --seconds 1
	[ "$(number '.events[0].joined_stacks')" = 0 ]
	within "$(whole)" 99 100
	cut -d' ' -f1 out/edge.cpu-clock.folded | grep -o '^edge;.*;run_recurse;' | sort -u >large
	profile -e cpu-clock --stack-bytes 8192 -- edge recurse --times 300 --seconds 1
	within "$(whole)" 99 100
	within "$(number '.events[0] | 100 * .joined_stacks / .samples')" 50 90
	cut -d' ' -f1 out/edge.cpu-clock.folded | grep -o '^edge;.*;run_recurse;' | sort -u >small
	diff large small
}

@test "what cannot be joined is cut, and the sums are right" {
	profile -e cpu-clock --stack-bytes 8192 -- edge big-stack --seconds 0.4
	[ "$(number '.events[0].joined_stacks')" = 0 ]
	profile -e cpu-clock -F 4999 --stack-bytes 4096 -- /usr/bin/python3 -c '
import ast, time
while time.process_time() < 1:
    ast.parse("(" * 40 + "1" + ")" * 40 + "; f(1, [2, {3: 4}])")'
	[ "$(number '.events[0] | .rooted_stacks + .joined_stacks + .cut_stacks + .broken_stacks +
		.no_user_stack == .samples')" = true ]
	[ "$(number '.events[0].cut_stacks')" -gt 0 ]
}

@test "python3: joined stacks are the true ones" {
	joined_right 4096 /usr/bin/python3 -c '
import argparse, time
source = open(argparse.__file__).read()
while time.process_time() < 1:
    compile(source, "argparse", "exec")'
}

@test "a compiler: joined stacks are the true ones" {
	cat >heavy.cpp <<-'END'
		#include <functional>
		#include <iostream>
		#include <map>
		#include <regex>
		int main() { std::cout << std::regex_match("abc", std::regex("a+(b|c)*")); }
	END
	joined_right 8192 c++ -O1 -c heavy.cpp -o /dev/null
}

@test "gdb: joined stacks are the true ones" {
	gdb_at_work joined_right 4096
}

@test "recursion: joined stacks are the true ones" {
	joined_right 8192 edge recurse --times 400 --seconds 1
}

@test "what called before is not taken for what calls now" {
	# Nothing in a dump tells the two callers apart, but memory does when the rings are next read. So of
	# the last 1.6 s a moment may be the first one's, and the rest is cut; or the second one's, if the
	# rings happened to be read just when it had called.
	profile -e cpu-clock -F 4999 -- edge next-caller --times 600 --seconds 2
	[ "$(number '.events[0].joined_stacks')" -ge 100 ]
	within "$(folded_share out/edge.cpu-clock.folded ';dig_here;')" 2 50
	within "$(folded_share out/edge.cpu-clock.folded 'truncated stack|;dig_there;')" 40 98
}
