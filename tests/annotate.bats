#!/usr/bin/env bats
# Source lines with their costs: annotate.

load live.bash
PYTHON=/usr/bin/python3

# One profile for all, of Python, whose lines are known without debug information.
setup()
{
	python_setup
	cd "${BATS_FILE_TMPDIR:?}" || return
	[ ! -e hot.pb.gz ] || return 0
	cat >hot.py <<-'END'
		import time

		def hot(n):
		    total = 0
		    for i in range(n):
		        total += i * i
		    return total

		def work():
		    end = time.process_time() + 0.4
		    while time.process_time() < end:
		        hot(2000)
		        for _ in range(200): pass

		work()
	END
	# So slowly that a ring holds all, however long its reader has to wait for a CPU.
	"$PMUFLAME" -q -F 500 -e cpu-clock,page-faults -o ./ -- "$PYTHON" hot.py
}

annotate() { "$PMUFLAME" annotate "$@"; }

@test "annotate: the hot line has the most, beside its text" {
	annotate hot hot.pb.gz >text
	grep -q '^hot (hot.py)  .*/hot.py:3$' text
	grep -A 3 '^hot (' text | grep -q '^ *3  def hot(n):$\|%  *3  def hot(n):$'
	grep -q '^ *cpu-clock  *page-faults$' text
	grep -q '^ *5      for i in range(n):$\|%  *5      for i in range(n):$' text
	grep -q '%  *6          total += i \* i$' text
	grep -q '^ *7      return total$\|%  *7      return total$' text
	annotate --json -e cpu-clock hot hot.pb.gz >hot.json
	jq -e '.functions[0] as $f | $f.source == $f.file and $f.note == null and
		([$f.lines[] | select(.costs) | {line, self: .costs[0].self}] | max_by(.self).line |
		. == 5 or . == 6) and
		([$f.lines[].costs // [] | .[].self] | add) == $f.costs[0].self' hot.json
}

@test "annotate: its numbers are top's" {
	annotate --json -e cpu-clock work hot.pb.gz >work.json
	"$PMUFLAME" top --lines --json -e cpu-clock hot.pb.gz >top.json
	jq -e --slurpfile t top.json '.functions[0] as $f | ($f.lines[] | select(.line == 12)) as $l |
		($t[0].events[0].rows[] | select(.line == 12 and .file == $f.file)) as $r |
		$l.costs[0] | .total > 0 and .total == $r.total and .self == $r.self and
		.samples_self == $r.samples_self' work.json
}

@test "annotate: several matches are a choice, or all" {
	run annotate 'hot.py' hot.pb.gz
	[ "$status" = 2 ]
	[[ $output == *"  work ("*"  hot ("*"matches "[34]" functions: "*"--all"* ]]
	[ "$(annotate --all --self 'hot.py' hot.pb.gz | grep -c '^ *self')" -ge 3 ]
	annotate 'work (hot.py)' hot.pb.gz | grep -q '  12          hot(2000)$'
	annotate '^wo' hot.pb.gz | grep -q '  12          hot(2000)$'
}

@test "annotate: sources that moved are found, and what became of others is said" {
	mkdir -p moved/src
	mv hot.py moved/src
	annotate hot hot.pb.gz >missing
	annotate --source moved/src hot hot.pb.gz >found
	annotate --source-map "$PWD=$PWD/moved/src" hot hot.pb.gz >mapped
	annotate --source no -e cpu-clock hot hot.pb.gz >none
	mv moved/src/hot.py .
	grep -q "^warning: cannot open '.*/hot.py': No such file.*--source-map FROM=TO" missing
	grep -q '%  *6$' missing
	grep -q '%  *6          total += i \* i$' found
	grep -q '%  *6          total += i \* i$' mapped
	[ "$(grep -v 'its timer came late' none | grep -c 'total\|warning')" = 1 ] # the head
	head -n 2 hot.py >shorter.py
	cp -p hot.py kept.py
	cat shorter.py >hot.py
	annotate hot hot.pb.gz >short
	mv kept.py hot.py
	grep -q "^warning: .*has 2 lines, and the profile line [67]: it is another version" short
}

@test "annotate: inlined code is the total of the line that calls it" {
	cat >calls.c <<-'END'
		#include <time.h>

		static inline unsigned mix(unsigned x)
		{
			for (int i = 0; i < 16; i++)
				x = (x ^ x << 13) * 5u + 1;
			return x;
		}

		__attribute__((noinline)) unsigned work(unsigned n, unsigned x)
		{
			while (n--)
				x = mix(x) ^ mix(x + 1);
			return x;
		}

		int main(void)
		{
			unsigned x = 1;
			while (clock() < CLOCKS_PER_SEC / 2)
				x = work(1000, x);
			return x == 7;
		}
	END
	"${CC:-cc}" -O2 -g -o calls calls.c
	"$PMUFLAME" -q -F 2000 -e cpu-clock -o ./ -- ./calls
	annotate --json '^(mix|work)$' calls.pb.gz >calls.json
	# Nearly all is mix's, which has lines of its own; work's has it as the total of line 13, once.
	jq -e '([.functions[] | {(.name): .}] | add) as $f |
		def line($name; $n): $f[$name].lines[] | select(.line == $n) | .costs[0];
		$f.work.start_line == 10 and line("work"; 13).total_share > 0.8 and
		line("work"; 13).total <= $f.work.costs[0].total and line("work"; 13).self_share < 0.2 and
		$f.mix.costs[0].self_share > 0.7 and
		([line("mix"; (5, 6)).self] | add) / $f.mix.costs[0].self > 0.9' calls.json
	annotate work calls.pb.gz | grep -q '%      13  x = mix(x) ^ mix(x + 1);$'
}

# What the page FILE has of source files.
report_code()
{
	"$PYTHON" - "$1" <<-'END'
		import base64, json, re, sys, zlib
		page = open(sys.argv[1]).read()
		packed = re.search(r'id="data">([^<]*)<', page).group(1)
		print(json.dumps(json.loads(zlib.decompress(base64.b64decode(packed))).get("code")))
	END
}

@test "the report has the text of lines that cost something, unless it is not to" {
	report_code hot.html >code.json
	jq -e --arg f "$PWD/hot.py" '.[] | select(.file == $f) | .note == "" and
		(.lines as $l | $l[($l | index(6)) + 1] == "        total += i * i")' code.json
	"$PMUFLAME" render --source no --format html -o none hot.pb.gz
	[ "$(report_code none.html)" = null ]
	"$PMUFLAME" -q --source no -e cpu-clock --format html -o live -- "$PYTHON" -c 'sum(range(3000000))'
	[ "$(report_code live.html)" = null ]
}

@test "annotate: nothing secret is shown, whatever a program calls its source" {
	cat >evil.py <<-'END'
		import sys, time
		text = "def evil(n):\n    for i in range(n):\n        i * i\n"
		names = {}
		exec(compile(text, sys.argv[1], "exec"), names)
		end = time.process_time() + 0.1
		while time.process_time() < end:
		    names["evil"](1000)
	END
	"$PMUFLAME" -q -F 2000 -e cpu-clock --format html,svg -o evil -- "$PYTHON" evil.py /etc/passwd
	annotate evil evil.pb.gz >text
	grep -q "^warning: '/etc/passwd' is not shown: it does not look like source code$" text
	grep -q '%  *3$' text
	report_code evil.html >code.json
	jq -e 'any(.[]; .file == "/etc/passwd" and .lines == [] and (.note | test("is not shown")))' code.json
}

@test "annotate: mistakes are sentences" {
	run annotate hot
	[ "$status" = 2 ]
	run annotate nonsense hot.pb.gz
	[ "$status" = 125 ]
	[[ $output == *"no function with samples matches 'nonsense'"* ]]
	run annotate --source-map /x hot hot.pb.gz
	[ "$status" = 2 ]
	run annotate '(' hot.pb.gz
	[ "$status" = 2 ]
	echo 'main;walk 10' >stacks.folded
	run annotate walk stacks.folded
	[ "$status" = 125 ]
	[[ $output == *"folded stacks never have"* ]]
}
