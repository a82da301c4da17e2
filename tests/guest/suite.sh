#!/bin/bash
# What only a hardware PMU can show: run by scripts/pmu-guest in an emulated machine that has one.
# Usage: suite.sh [NAME...]: the tests below for a machine of so many CPUs, or those named; TAP on
# stdout. scripts/check boots a second time for the others.
# Pictures and the counts of this boot are left in out-guest-ARCH of the folder that it is called in.
#
# What the emulator does and a real PMU does not, and what the tests do about it:
#   - two CPUs share one clock, so a task's counters run on while the other CPU has its turn: runs
#     are compared by what their own time was, periods are long ones;
#   - arm64 raises the interrupt of `instructions` only together with that of `cycles`: both are
#     sampled, with the same period;
#   - riscv64 counts cycles faster than its interrupts come: shares are of what was sampled.
set -uo pipefail
# shellcheck source=../live.bash
. "${srcdir:?}/tests/live.bash"
case $(uname -m) in
aarch64) arch=arm64 ;;
riscv64) arch=riscv64 ;;
*)
	echo "Bail out! no guest of this kind: $(uname -m)"
	exit 1
	;;
esac
results=$PWD/out-guest-$arch
# What bash says of a program that crashed: no matter of time, and not tried again.
crash='Segmentation fault\|Aborted\|Illegal instruction\|Bus error'
cpus=$(nproc)

# shellcheck disable=SC2034 # named by $arch and $cpus
{
	arm64_1_tests=(tells_the_truth_about_itself three_to_one adds_up_to_the_count agrees_with_perf
		reaches_the_root multiplexes_ten_events sweeps_twelve_events
		names_a_group_that_cannot_run names_a_group_that_never_runs
		names_an_event_that_counts_nothing names_events_that_do_not_open grants_what_it_says
		counts_throttled_samples counts_lost_samples
		sees_what_regresses checks_more_than_fits)
	arm64_2_tests=(three_to_one adds_up_to_the_count runs_all_the_time follows_cpus_that_go_and_come multiplexes_ten_events
		names_a_group_that_never_runs counts_throttled_samples)
	riscv64_1_tests=(tells_the_truth_about_itself three_to_one agrees_with_perf reaches_the_root
		data_frame_misses sweeps_two_layouts)
	riscv64_2_tests=(three_to_one)
}

# event INDEX EXPRESSION: from the summary
event()
{
	number ".events[$1] | $2"
}

# counting_run SUFFIX COMMAND...: the totals of cycles and instructions of a run that nobody samples.
counting_run()
{
	perf stat -x, -o counted -e "cycles$1,instructions$1" "${@:2}" >/dev/null
	awk -F, '/cycles|instructions/ { n[i++] = $1 } END { print n[0], n[1] }' counted
}

tells_the_truth_about_itself()
{
	pmuflame doctor | grep -q 'ok .*hardware PMU: the cycles counter counts'
	pmuflame list --json >list.json
	jq -e 'map(select(.name == "cycles" or .name == "instructions") | .counts) == [true, true]' list.json
	jq -e 'map(select(.name == "cache-misses"))[0] | .opens == false and .why != ""' list.json
	if [ "$arch" = arm64 ]; then
		[ "$(jq 'map(select(.name | startswith("arm_n1::"))) | length' list.json)" = 114 ]
		[ "$(jq -r 'map(select(.counts and (.name | startswith("arm_n1::"))) | .name) | sort | join(" ")' list.json)" = \
			'arm_n1::CPU_CYCLES arm_n1::INST_RETIRED' ]
	else
		jq -e 'map(select(.name == "dTLB-load-misses"))[0].counts' list.json
	fi
}

three_to_one()
{
	# Three standard errors of the samples that come; instructions are a quarter as many. riscv64's cycles are its
	# host's, which go on where that is stopped: 2.71 was seen.
	local rounds=2500 low=2.95 high=3.05
	[ "$arch" = arm64 ] || rounds=40000 low=2.5 high=3.5
	profile --inline no --call-graph none -e cycles:u@400009,instructions:u@400009 -- ratio --rounds "$rounds"
	within "$(awk "BEGIN { print $(share cycles:u cost_three) / $(share cycles:u cost_one) }")" "$low" "$high"
	within "$(awk "BEGIN { print $(share instructions:u cost_three) / $(share instructions:u cost_one) }")" 2.5 3.5
	keep out/ratio.cycles_u.svg out/ratio.instructions_u.svg
}

adds_up_to_the_count()
{
	local cycles instructions i
	# Long enough that the last, unfinished period is no thousandth.
	profile --call-graph none -e cycles:u@1000003 -- ratio --rounds 2000
	within "$(event 0 '(.weight + .unsampled) / .counted')" 0.999999 1.000001
	within "$(event 0 '.weight / .counted')" 0.999 1
	[ "$cpus" -eq 1 ] || return 0
	profile -e cycles:u@100003,instructions:u@100003 -- ratio --rounds 1000
	for i in 0 1; do
		within "$(event "$i" '.weight / .counted')" 0.999 1
	done
	# The counts of a run that nobody samples.
	read -r cycles instructions < <(counting_run :u ratio --rounds 1000)
	within "$(event 0 ".counted / $cycles")" 0.999 1.001
	within "$(event 1 ".counted / $instructions")" 0.999 1.001
	keep s.json
}

# Named by scripts/check, in a boot after the one that left its numbers.
two_boots_agree()
{
	cp "$results/s.json" first.json
	adds_up_to_the_count
	# For a second try.
	cp first.json "$results/s.json"
	# How many pages the kernel finds in its caches differs, and with it what interrupts see.
	jq -n --slurpfile a first.json --slurpfile b s.json '
		def numbers: .events | map([.counted, .samples]) | flatten;
		[$a[0], $b[0]] | map(numbers) | transpose | map(.[0] / .[1])' >quotients
	cat quotients
	jq -e 'all(. > 0.999 and . < 1.001)' quotients
}

agrees_with_perf()
{
	local theirs ours rounds=2500 points=2
	[ "$arch" = arm64 ] || rounds=30000 points=4
	profile --inline no --call-graph none -e cycles:u@400009 -- ratio --rounds "$rounds"
	perf record -q -e cycles:u -c 400009 -o perf.data -- ratio --rounds "$rounds"
	# Not cost_one: on riscv64 perf calls it by its mapping symbol ($x…).
	perf script -F ip,sym >samples 2>/dev/null
	theirs=$(awk '$2 == "cost_three" { n++ } END { print 100 * n / NR }' samples)
	ours=$(share cycles:u cost_three)
	within "$(awk "BEGIN { print $ours - $theirs }")" "-$points" "$points"
}

reaches_the_root()
{
	local graph seconds=0.8
	# Start and end of a process have no call frame information: there must be more between.
	[ "$arch" = arm64 ] || seconds=2.5
	for graph in auto dwarf; do
		profile --call-graph "$graph" -e cycles:u@1000003 -- deep --seconds "$seconds"
		within "$(event 0 .samples)" 500 1e6
		within "$(event 0 '100 * .rooted_stacks / .samples')" 99 100
		grep ';wl_burn[; ]' out/deep.*.folded >burnt.folded
		within "$(folded_share burnt.folded ';main;.*descend<24>')" 99 100
		# On riscv64 the vDSO has frame pointers and no CFI.
		if grep -E ';([a-z_]*clock_gettime);\1[; ]' burnt.folded; then return 1; fi
	done
	awk '{ sub(/ [0-9]+$/, ""); n = split($0, f, ";"); if (n > d) d = n } END { exit !(d > 55) }' out/deep.*.folded
	keep out/deep.cycles_u.svg
}

# inclusive_shares FILE FUNCTION...: what part of what was sampled each is in, in percent.
inclusive_shares()
{
	local function
	grep -vF '[unsampled]' "$1" >sampled
	for function in "${@:2}"; do
		folded_share sampled "[;][^;]*$function"
	done
}

# Of a program that keeps frame pointers: as the kernel follows them, and as we do.
frame_pointers_agree()
{
	local functions=(main 'descend<1>' 'descend<24>' run_stage) way points=8 seconds=3
	local -A ways=([cfi]='--call-graph dwarf' [fp]='--unwinder fp')
	# On riscv64 the kernel's walk leaves out the caller of what makes calls itself, any walk that of
	# the C library's functions, which keep no frame pointers, and no two runs have the same samples: of
	# 1,400, 8 points are five standard errors.
	if [ "$arch" = arm64 ]; then
		ways[kernel]='--call-graph fp' points=2 seconds=0.8
		functions+=(wl_burn)
	fi
	for way in cfi $(printf '%s\n' "${!ways[@]}" | grep -v cfi); do
		# shellcheck disable=SC2086 # an option and its argument
		profile ${ways[$way]} -e cycles:u@1000003 -- deep-fp --seconds "$seconds"
		grep -m 3 'descend<24>' out/deep-fp.cycles_u.folded
		inclusive_shares out/deep-fp.cycles_u.folded "${functions[@]}" >"$way"
		paste cfi "$way" | tee shares
		awk -v p="$points" -v n="${#functions[@]}" '$1 < 10 || $1 - $2 > p || $2 - $1 > p { bad = 1 }
			END { exit bad || NR != n }' shares
	done
	# The caller of a leaf that has no frame record: it stands in the link register only.
	if [ "$arch" = arm64 ]; then
		profile --inline no --call-graph fp -e cycles:u@1000003 -- ratio --rounds 300
		within "$(folded_share out/ratio.cycles_u.folded ';main;cost_three ')" 60 85
	fi
}

# The kernel's own time, which is not counted, differs: what is compared is the count by task time.
multiplexes_ten_events()
{
	local single i p=@1000003 low=0.99 high=1.01
	# What runs on the other CPU in the ratio's turn is counted, too: up to 0.9 % of fifty were seen.
	[ "$cpus" = 1 ] || low=0.97 high=1.03
	profile --call-graph none -e cycles:u$p -- ratio --rounds 2500
	[ "$(event 0 .scale)" = 1 ]
	single=$(event 0 .counted)
	profile --call-graph none -e "cycles:u$p,instructions:u$p,r11:u$p,r8:u$p,cycles:u$p,instructions:u$p,r11:u$p,r8:u$p,cycles:u$p,instructions:u$p" \
		-- ratio --rounds 2500 2>said
	for i in 0 1 2 3 4 5 6 7 8 9; do
		within "$(event "$i" .scale)" 1.39 1.47
	done
	[ "$(grep -lE 'ran (6[89]|7[012])(\.[0-9]+)?% of the time' out/ratio.*.svg | wc -l)" = 10 ]
	for i in 0 2 4 6 8; do
		within "$(event "$i" ".counted * .scale / $single")" "$low" "$high"
	done
}

# Twelve events on seven counters: two passes that never take turns, whose counts are what one run says
# by scaling. Two of the events count here.
sweeps_twelve_events()
{
	local events=cycles:u@1000003,instructions:u@1000003 code event mean
	for code in 1 2 3 4 5 9 10 12 13 14; do
		events+=,r$code:u@1000003
	done
	pmuflame sweep --call-graph none --repeat 3 -e "$events" -o sweep/ -- ratio --rounds 1500
	jq -e '.sets[0] | .anchor == "cycles:u" and (.passes | map(length)) == [7, 6]' sweep/plan.json
	jq -e '[.cases[0].measured[].scale] | all(. == 1)' sweep/summary.json
	profile --call-graph none -e "$events" -- ratio --rounds 1500
	for event in cycles:u instructions:u; do
		mean=$(jq --arg e "$event" '.cases[0].summary[] | select(.name == $e) | .mean' \
			sweep/summary.json)
		within "$(number ".events[] | select(.event == \"$event\") | .scale")" 1.5 2
		within "$(number ".events[] | select(.event == \"$event\") | .counted * .scale / $mean")" \
			0.99 1.01
	done
	keep sweep/summary.md
}

# Children of children: the kernel swaps their contexts, and must not mix up their counts.
multiplexes_a_family()
{
	local p=@1000003 i
	profile --call-graph none -e "cycles:u$p,instructions:u$p,r11:u$p,r8:u$p,cycles:u$p,instructions:u$p,r11:u$p,r8:u$p,cycles:u$p,instructions:u$p" \
		-- tree --depth 2 --fanout 3 --micros 40000
	for i in 0 1 2 3 4 5 6 7 8 9; do
		within "$(event "$i" '.weight / .counted')" 0.8 1.01
	done
	# Four nanoseconds an instruction; of one pair, these short runs say that within 3 % (one in six).
	within "$(number 'def all(places): [.events[places[]] | .counted * .scale] | add;
		all([0, 4, 8]) / all([1, 5, 9])')" 3.6 4.4
}

# Frames of Python between native ones, by the overflow of a hardware counter.
shows_python_calls()
{
	local event
	cat >calls.py <<-'E'
		def leaf(n):
		    total = 0
		    for i in range(n):
		        total += i & 7
		    return total
		def outer(n): return sorted(range(n), key=lambda x: leaf(20))
		for _ in range(10): outer(3000)
	E
	profile -e cycles@2000003,instructions@2000003 -- python3 -I -S calls.py
	number '.notes[].text' | grep -E 'Python 3\.13: 1 process.* (99|100)\..*% of whose native frames agree'
	for event in cycles instructions; do
		grep -v '\[unsampled\]' "out/calls.$event.folded" >sampled
		within "$(folded_share sampled ';<module> \(calls.py:7\);outer \(calls.py:6\);.*;outer.<locals>.<lambda> \(calls.py:6\);leaf \(calls.py:[2345]\)')" 10 100
	done
}

shows_python_lines()
{
	local file event
	profile -e cycles@1000003,instructions@1000003 -- python3 "$srcdir/tests/workloads/numpy_frame.py" 20
	number '.notes[].text' | grep -E 'Python 3\.11: 1 process.* (99|100)\..*% of whose native frames agree'
	for event in cycles instructions; do
		file=out/numpy_frame.$event.folded
		within "$(folded_share "$file" ';<module> \(numpy_frame.py:24\);by_rows \(numpy_frame.py:11\);.*_multiarray_umath')" 10 80
		within "$(folded_share "$file" ';<module> \(numpy_frame.py:25\);by_columns \(numpy_frame.py:18\);.*_multiarray_umath')" 10 80
	done
	within "$(event 0 '.weight / .counted')" 0.98 1
	within "$(number '.events[0].counted / .events[1].counted')" 3.96 4.04
	keep out/numpy_frame.cycles.svg
}

runs_all_the_time()
{
	profile --call-graph none -e cycles:u@1000003,instructions:u@1000003 -- threads --threads 4 --seconds 0.5
	[ "$(event 0 .scale)" = 1 ]
	[ "$(event 1 .scale)" = 1 ]
	grep 'ran all the time' out/threads.cycles_u.svg
	# Four nanoseconds an instruction: no thread's counts went to the other event.
	within "$(number '.events[0].counted / .events[1].counted')" 3.96 4.04
}

# Six counters and the cycle counter.
names_a_group_that_cannot_run()
{
	local status=0
	profile -e '{cycles,instructions,r11,r8,r11,r8,r11,r8}' -- ratio --rounds 100 2>err || status=$?
	[ "$status" = 125 ]
	grep 'does not fit into its group' err
}

# It would fit, but somebody else holds a counter.
names_a_group_that_never_runs()
{
	perf stat -a -e r8:D -o held -- "$PMUFLAME" --summary s.json -o out/ --format svg,folded \
		-e '{cycles,instructions,r11,r8,r11,r8,r11}' -- ratio --rounds 300 2>err
	[ "$(number '[.events[].running_ns] | add')" = 0 ]
	grep "'cycles' was opened and never ran" err
	grep 'opened and never ran' out/ratio.cycles.svg
}

names_an_event_that_counts_nothing()
{
	profile -e r3:u@100003,cycles:u@1000003 -- ratio --rounds 300
	[ "$(event 0 .counted)" = 0 ]
	number '.notes[].text' | grep "'r3:u' was opened and counted 0"
}

names_events_that_do_not_open()
{
	local name status
	for name in cache-misses branch-misses dTLB-load-misses; do
		status=0
		pmuflame -e "$name" -- ratio --rounds 100 2>err || status=$?
		[ "$status" = 125 ]
		grep "cannot open '$name': this processor's PMU cannot do it" err
	done
}

# The kernel's driver takes every precise_ip; the ledger has what the event was opened with.
grants_what_it_says()
{
	profile -e cycles:u,instructions:up,r11:u -- ratio --rounds 300
	[ "$(number '[.events[].precise_ip] | join(" ")')" = '3 1 3' ]
	grep 'precise_ip 1' out/ratio.instructions_up.svg
}

# set_rate HZ: how many samples the kernel takes in a second before it throttles.
set_rate()
{
	# Zero, as this machine has it, also locks the rate.
	echo 25 >/proc/sys/kernel/perf_cpu_time_max_percent
	echo "$1" >/proc/sys/kernel/perf_event_max_sample_rate
	echo 0 >/proc/sys/kernel/perf_cpu_time_max_percent
}

counts_throttled_samples()
{
	set_rate 1000
	local status=0 theirs
	profile --call-graph none -e cycles:u@10007 -- ratio --rounds 500 || status=$?
	perf record -q -e cycles:u -c 10007 -o perf.data -- ratio --rounds 500
	set_rate 100000
	[ "$status" = 0 ]
	within "$(event 0 '(.weight + .unsampled) / .counted')" 0.999 1.001
	number '.notes[].text' | grep -i throttle
	# At every tick once, for whoever counts.
	theirs=$(perf script --show-lost-events -D 2>/dev/null | grep -c 'PERF_RECORD_THROTTLE')
	within "$theirs" 20 1e9
	within "$(event 0 ".throttled / $theirs")" 0.8 1.25
}

# Every whole period is a sample or a lost one, event by event: of a run whose recorder is stopped, so
# that the ring becomes full.
counts_lost_samples()
{
	local i recorder
	"$PMUFLAME" --summary s.json -o out/ --format svg,folded --stack-bytes 65528 \
		-e cycles:u@20011,instructions:u@20011 -- deep --seconds 0.3 &
	recorder=$!
	until pgrep -x deep >/dev/null; do sleep 0.01; done
	kill -STOP "$recorder"
	while pgrep -x -r R,S,D deep >/dev/null; do sleep 0.05; done
	kill -CONT "$recorder"
	wait "$recorder"
	for i in 0 1; do
		within "$(event "$i" .lost)" 100 1e9
		within "$(event "$i" '(.samples + .lost) - .counted / 20011')" -1 0
		number '.notes[].text' | grep "samples of '$(event "$i" .event)' were lost"
	done
}

# check_rounds N: the budget on the instructions of a run of so many rounds.
check_rounds()
{
	pmuflame check --repeat 3 --baseline base.json -b 'regress(instructions:u) < 2%' "${@:2}" \
		ratio --rounds "$1"
}

# The same program does not, in any comparison; one with 5 % more instructions does, in each.
sees_what_regresses()
{
	local i status
	check_rounds 200 --save-baseline
	for i in 1 2 3 4 5; do
		check_rounds 200
		status=0
		check_rounds 210 >said || status=$?
		cat said
		[ "$status" = 1 ]
		grep '^missed .*: +[45]\.' said
	done
}

# Ten events for seven counters: each is counted all the time.
checks_more_than_fits()
{
	local event budgets=()
	for event in cycles cycles:u cycles:k instructions instructions:u instructions:k r11:u r11:k r8:u r8:k; do
		budgets+=(-b "$event/s > 0.01")
	done
	pmuflame check --repeat 2 --max-repeat 2 -o kept/ "${budgets[@]}" ratio --rounds 200 >said
	cat said
	[ "$(grep -c '^met .* in 2 runs' said)" = 10 ]
	[ "$(jq -c '[.cases[].measured[].scale] | unique' kept/summary.json)" = '[1]' ]
	[ "$(jq .passes kept/summary.json)" = 10 ]
}

data_frame_misses()
{
	profile -e cycles,dTLB-load-misses -- dataframe --rows 4000 --cols 2000 --passes 2 --row-passes 12
	share cycles sum_by_rows
	share cycles sum_by_columns
	within "$(share cycles sum_by_rows)" 8 100
	within "$(share cycles sum_by_columns)" 8 100
	within "$(share dTLB-load-misses sum_by_columns)" 95 100
	within "$(share dTLB-load-misses sum_by_rows)" 0 5
	keep out/dataframe.cycles.svg out/dataframe.dTLB-load-misses.svg
}

sweeps_two_layouts()
{
	local misses
	cat >pmuflame.ini <<-'END'
		[target frame]
		command = dataframe {layout} --rows 4000 --cols 2000 --passes 4
		work = 16000
		unit = row
	END
	chmod 644 pmuflame.ini
	pmuflame sweep --call-graph none --repeat 2 --vary layout=rows,columns \
		-e cycles:u,dTLB-load-misses:u -o sweep/ frame
	misses='map(.summary[] | select(.name == "dTLB-load-misses:u/row") | .mean)'
	jq -c ".cases | $misses" sweep/summary.json
	jq -e ".cases | map(.vary.layout) == [\"rows\", \"columns\"] and
		($misses | .[1] / .[0] > 20)" sweep/summary.json
	keep sweep/summary.md
}

# cycles_per_second SUMMARY: of the CPU time that `threads` said in out. Both emulated CPUs share a clock: what passes
# while one of them switches tasks is in one of the two only.
cycles_per_second()
{
	jq --argjson cpu "$(sed -n 's/^CPU time *\([0-9.]*\) s/\1/p' out)" '.events[0].counted / $cpu' "$1"
}

follows_cpus_that_go_and_come()
{
	local online=/sys/devices/system/cpu/cpu1/online before
	echo "sleep 0.5; echo 0 >$online; sleep 0.5; echo 1 >$online; sleep 0.5" >plug
	pmuflame -q --summary before.json --format folded -o out-before/ -e cycles -c 5000000 -- \
		threads --threads 2 --seconds 2 >out
	before=$(cycles_per_second before.json)
	bash ./plug &
	pmuflame -q --summary s.json --format folded -o out-threads/ -e cycles -c 5000000 -- \
		threads --threads 2 --seconds 2 >out
	wait $!
	within "$(jq -n "$(cycles_per_second s.json) / $before")" 0.9 1.1
	within "$(event 0 '(.weight + .unsampled) / .counted')" 0.999 1.001
	within "$(folded_share out-threads/threads.cycles.folded ';work_until')" 80 100
	ratio --seconds 60 >/dev/null &
	pmuflame -q -a --summary s.json --format folded -o out-all/ -e cycles -c 5000000 -- bash ./plug
	kill $!
	number '.notes[].text' | grep -q 'went offline'
	number '.notes[].text' | grep -q 'came online'
	within "$(event 0 '(.weight + .unsampled) / .counted')" 0.999 1.001
	within "$(event 0 .scale)" 1 1.02
	within "$(folded_share out-all/system.cycles.folded '^ratio;')" 15 100
	# One that mostly rests: beside a busy CPU the emulator takes seconds to unmap a ring.
	bash -c 'while read -rt 0.2; [ $? -gt 128 ]; do for ((i = 0; i < 500; i++)); do :; done; done' <> <(:) &
	pmuflame -q --timers cpus --summary s.json --format folded -o out-timers/ -e cpu-clock -p $! -- bash ./plug
	kill $!
	number '.notes[].text' >notes
	grep -q 'sampled by timers of the CPUs' notes
	grep -q 'came online' notes
	within "$(event 0 '(.weight + .unsampled) / .counted')" 0.999 1.001
}

# unit_tests [EXCEPT...]: each program once; what its cases say goes to the log.
unit_tests()
{
	local program failed=0 seen=0
	for program in "${builddir:?}"/tests/unit/test_*; do
		case $program in *.*) continue ;; esac
		[[ " $* " != *" ${program##*/test_} "* ]] || continue
		seen=$((seen + 1))
		for _ in 1 2; do
			PMF_SPARSE=8 CMOCKA_MESSAGE_OUTPUT=TAP sh "$srcdir/tests/unit/run" "$program" >unit.log 2>&1 &&
				continue 2
			{
				echo "${program##*/}"
				grep -A 3 '^not ok' unit.log || tail -n 3 unit.log
			} | tee -a "$dir.first"
			! grep -q "$crash" unit.log || break
		done
		failed=$((failed + 1))
	done
	echo "$seen unit test programs, $failed failed"
	[ "$seen" -gt 10 ] && [ "$failed" = 0 ]
}

# Without those that compute longest, nothing of it by the processor's own ways.
quick_unit_tests()
{
	unit_tests go_table perf_data_order pprof render stats
}

keep()
{
	mkdir -p "$results" && cp "$@" "$results/"
}

tests=("$@")
if [ $# -eq 0 ]; then
	declare -n own=${arch}_${cpus}_tests
	tests=("${own[@]}")
fi
echo "1..${#tests[@]}"
n=0 failures=0
for name in "${tests[@]}"; do
	n=$((n + 1)) started=$SECONDS
	dir=$(mktemp -d)
	# Twice, where it fails: who stops the emulator's host stops its clocks in the middle of what it counts.
	for try in 1 2; do
		rm -rf "$dir" && mkdir -m 700 "$dir"
		# Not as a condition: that would turn -e off.
		(
			cd "$dir" || exit
			set -eE
			trap 'echo "line $LINENO: $BASH_COMMAND"' ERR
			"$name"
		) >"$dir.log" 2>&1
		status=$?
		if [ "$status" -eq 0 ] || [ "$try" = 2 ] || grep -q "$crash" "$dir.log"; then break; fi
		tail -n 30 "$dir.log" >"$dir.first"
	done
	if [ "$status" -eq 0 ]; then
		echo "ok $n - $arch, $cpus CPU: ${name//_/ } ($((SECONDS - started)) s)"
	else
		failures=$((failures + 1))
		echo "not ok $n - $arch, $cpus CPU: ${name//_/ }"
		tail -n 30 "$dir.log" | sed 's/^/# /'
	fi
	if [ -s "$dir.first" ]; then
		echo "# tried again: $arch, $cpus CPU: ${name//_/ }"
		sed 's/^/# /' "$dir.first"
	fi
	rm -rf "$dir" "$dir".*
done
[ "$failures" -eq 0 ]
