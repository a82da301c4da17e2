#!/usr/bin/env bats
# What perf says about the same process. Both sample one run of the program, each with timers of its
# own: whatever the machine does meanwhile, it does to both, and only the sampling differs.
#
# 20,000 samples make 2 points four standard errors of the difference of two shares, whatever the
# share is; PMF_LONG=1 runs four times as long and asks for 1 point.

load live.bash

# Neither is perf's default or divides a timer tick; two equal ones would keep their distance in time
# all along, and then show two different points of a loop.
RATE=6007
PERF_RATE=5749
DUMP=8192   # perf's default
SECONDS_EACH=3.6
POINTS=2

setup()
{
	need perf "$(type -P perf)"
	live_setup
	if [ -n "${PMF_LONG:-}" ]; then
		SECONDS_EACH=14.4
		POINTS=1
	fi
}

# need NAME FOUND: skip without it, but never where the checks are meant to be complete.
need()
{
	[ -n "$2" ] && return
	[ "${CI:-}" != true ] || { echo "$1 is missing" >&2 && return 1; }
	skip "$1 is not installed"
}

# beside_perf COMMAND...: one run of it, sampled by pmuflame and by perf. perf runs inside, for it
# loses the callers of a program that pmuflame has forked. --buildid-mmap because we ask the kernel
# for build ids: it then marks the records of those who did not as having one, too.
beside_perf()
{
	profile -q --python no --inline no --clones keep --stack-bytes "$DUMP" -F "$RATE" -e cpu-clock -- \
		perf record -q -m 16M -o perf.data --buildid-mmap --call-graph "dwarf,$DUMP" -F "$PERF_RATE" \
		-e cpu-clock -- "$@"
	comm=$(basename "$1")
	comm=${comm:0:15}
	perf script -i perf.data --comms "$comm" --no-inline --no-demangle --max-stack 1024 \
		-F comm,ip,sym,dso 2>perf.err | c++filt >perf.txt
	rm perf.data
}

# agree [--inclusive NAME]...
agree()
{
	/usr/bin/python3 "${srcdir:?}/tests/compare_perf.py" --points "$POINTS" "$@" "$comm" \
		s.json out/*.cpu-clock.folded perf.txt
}

@test "perf agrees on the backtest" {
	beside_perf backtest --bars "$(awk "BEGIN { print int(290000 * $SECONDS_EACH) }")"
	agree --inclusive main --inclusive run_backtest --inclusive generate_signal
}

@test "perf agrees on 60 C++ frames, of which 99 % reach the root" {
	beside_perf deep --seconds "$SECONDS_EACH"
	agree --inclusive main \
		--inclusive 'unsigned long (anonymous namespace)::descend<0>((anonymous namespace)::walk&)' \
		--inclusive 'unsigned long (anonymous namespace)::descend<10>((anonymous namespace)::walk&)' \
		--inclusive 'unsigned long (anonymous namespace)::descend<24>((anonymous namespace)::walk&)'
	grep '^deep;' out/*.folded | grep -v ';\[unsampled\] ' >deep.folded
	within "$(folded_share deep.folded '^deep;(_start|_dl_start_user)[; ]')" 99 100
}

@test "perf agrees on python3 with pandas" {
	need pandas "$(/usr/bin/python3 -c 'import pandas; print(1)' 2>/dev/null)"
	# Imports nest beyond 8 KiB: we join such stacks, perf leaves them cut.
	DUMP=65528 beside_perf /usr/bin/python3 "${srcdir:?}/tests/workloads/iterrows.py" "$SECONDS_EACH"
	agree --inclusive Py_BytesMain --inclusive _PyEval_EvalFrameDefault \
		--inclusive _PyObject_MakeTpCall --cold PyImport_ImportModuleLevelObject
}
