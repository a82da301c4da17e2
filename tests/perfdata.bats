#!/usr/bin/env bats
# What perf recorded, drawn: the numbers are perf's own, and files are taken for what was recorded only
# if they are.

load live.bash

setup()
{
	perf=$(type -P perf) || skip "perf is not installed"
	cd "${BATS_TEST_TMPDIR:?}" || return
	# Neither the user's build-id cache nor another test's.
	export HOME=$PWD/home
	mkdir home
	if ! "$perf" record -q -e cpu-clock -o probe.data -- true 2>why; then
		skip "perf can record nothing here: $(head -n 1 why)"
	fi
	# As perf prints it: a user without permission gets cpu-clock:u.
	clock=$("$perf" evlist -i probe.data | head -n 1)
}

# record DATA OPTIONS... -- COMMAND...
record()
{
	local data=$1
	shift
	"$perf" record -q -o "$data" "$@" >record.out 2>&1 || { cat record.out && return 1; }
}

# file_of EVENT: as pmuflame names it.
file_of()
{
	printf %s "$1" | tr -c 'A-Za-z0-9._-' _
}

# agree DATA EVENT PROGRAM [--points P]: the recording, drawn, has perf script's numbers.
agree()
{
	local data=$1 event=$2 program=$3
	shift 3
	"${PMUFLAME:?}" render --inline no --format folded -o drawn "$data" >paths
	"$perf" script -i "$data" --no-inline --no-demangle --max-stack 1024 \
		-F event,period,ip,sym,dso 2>/dev/null | c++filt >script.txt
	/usr/bin/python3 "${srcdir:?}/tests/compare_recording.py" "$@" "$event" "$program" \
		"drawn.$(file_of "$event").folded" script.txt
}

@test "frame pointers, two events: one picture each, with perf's shares" {
	record r.data -F 2999 --call-graph fp -e cpu-clock,page-faults -- dataframe --passes 4
	agree r.data "$clock" dataframe
	agree r.data "$("$perf" evlist -i r.data | sed -n 2p)" dataframe
	"$PMUFLAME" render --format svg,json r.data >paths
	[ "$(grep -c '\.svg$' paths)" -eq 2 ]
	jq -e 'all(.events[]; .counted == null and .weight > 0)' r.json
	grep -q 'what was counted beside them is not recorded' r.*.svg
	grep -q 'perf record -q -o r.data -F 2999 --call-graph fp' r.*.svg
}

@test "dumps: C++ 60 frames deep" {
	record r.data -F 2999 --call-graph dwarf -e cpu-clock -- deep --seconds 1
	agree r.data "$clock" deep --points 0.1
	within "$(folded_share drawn.*.folded '^deep;(_start|_dl_start_user)[; ]')" 99 100
}

@test "a whole machine" {
	record r.data -a -g -F 999 -e cpu-clock -- threads --seconds 1 ||
		skip "this user may not record the whole machine"
	agree r.data "$clock" threads
	# There is no command whose recording it would be.
	mv r.data perf.data
	"$PMUFLAME" render perf.data >paths
	grep -qx 'perf\.cpu-clock.*\.svg' paths
}

@test "a stream is drawn as its file is, and named after what was recorded" {
	"$perf" record -q -F 2999 -g -e cpu-clock -o - -- dataframe --passes 2 2>/dev/null >stream
	mkdir piped
	(cd piped && "$PMUFLAME" render --format folded - < <(cat ../stream)) >paths
	grep -qx 'dataframe\.cpu-clock.*\.folded' paths
	"$PMUFLAME" render --format folded -o filed stream
	cmp piped/dataframe.*.folded filed.*.folded
	cp stream perf.data
	"$PMUFLAME" render --format folded perf.data >paths
	grep -qx 'dataframe\.cpu-clock.*\.folded' paths
}

@test "saved and drawn again, a recording stays one" {
	record r.data -F 999 -g -e cpu-clock,page-faults -- dataframe
	"$PMUFLAME" render --format svg,folded,pprof -o first r.data
	"$PMUFLAME" render --format svg,folded -o again first.pb.gz
	for f in first.*.svg first.*.folded; do
		cmp "$f" "again${f#first}"
	done
}

@test "what stands at a path now is taken only if it is what was recorded" {
	cp "$(type -P dataframe)" prog
	record r.data -F 999 -g -e cpu-clock -- ./prog --passes 2
	"$PMUFLAME" render --format folded -o whole r.data
	[ "$(weight whole.*.folded ';sum_by_columns ')" -gt 0 ]

	# Gone, but perf kept a copy in its build-id cache.
	mv prog gone
	"$PMUFLAME" render --format folded -o cached r.data
	cmp whole.*.folded cached.*.folded

	# Another program instead.
	cp "$(type -P threads)" prog
	rm -rf home/.debug
	"$PMUFLAME" render --format svg,folded -o other r.data 2>said
	grep -q "warning: 'r.data': .*prog (another build stands at this path now" said
	[ "$(weight other.*.folded ';sum_by_columns ')" -eq 0 ]
	[ "$(weight other.*.folded ';\[prog\]')" -gt 0 ]
	[ "$(weight other.*.folded .)" -eq "$(weight whole.*.folded .)" ]
	grep -q 'prog (another build stands at this path now than was recorded).*--symfs' other.*.svg

	# The recorded machine's files below a folder: by path, or just by name.
	mkdir -p "root$PWD" flat
	cp gone "root$PWD/prog"
	cp gone flat/prog
	for symfs in root flat; do
		"$PMUFLAME" render --format folded --symfs $symfs -o "from-$symfs" r.data
		[ "$(weight "from-$symfs".*.folded ';sum_by_columns ')" -eq \
			"$(weight whole.*.folded ';sum_by_columns ')" ]
	done
}

@test "without samples there is a reason instead of a picture" {
	"$perf" stat record -o stat.data -e task-clock -- true >/dev/null 2>&1 ||
		skip "this perf does not record counts"
	run "$PMUFLAME" render stat.data
	[ "$status" -eq 125 ]
	[[ $output == *"no samples: \`perf stat record\` made it"* ]]
	[ "$(find . -name '*.svg' | wc -l)" -eq 0 ]
}

@test "recordings of others: every sample's weight is drawn" {
	local corpus=${PMUFLAME_CORPUS:-${srcdir:?}/../shared/corpus} file sums drawn=0
	[ -e "$corpus/index.tsv" ] || skip "no recordings at '$corpus' (PMUFLAME_CORPUS)"
	grep -q 'define HAVE_LIBZSTD' "${builddir:?}/config.h" || skip "built without libzstd"
	while IFS=$'\t' read -r file sums; do
		if ! "$PMUFLAME" render --format folded -o o "$corpus/$file" >paths 2>said; then
			grep -Eq 'no samples: |describes no event' said || { cat said && return 1; }
			[ "$sums" = '{}' ]
			continue
		fi
		# perf makes the last three of a processor trace.
		[ "$(cat o.*.folded | weight - .)" = "$(jq 'del(.psb, .cbr, .branches) | add' <<<"$sums")" ] ||
			{ echo "$file: $sums" && return 1; }
		rm o.*.folded
		drawn=$((drawn + 1))
	done < <(tail -n +2 "$corpus/index.tsv" | cut -f 1,14 | sed 's/"{/{/; s/}"/}/; s/""/"/g')
	[ "$drawn" -ge 20 ]
}
