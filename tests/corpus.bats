#!/usr/bin/env bats
# Recordings of many versions of perf, kernels and machines, made by others. They are no part of the
# project: PMUFLAME_CORPUS says where they are, by default beside its folder.
bats_require_minimum_version 1.5.0

setup()
{
	CORPUS=${PMUFLAME_CORPUS:-${srcdir:?}/../shared/corpus}
	[ -r "$CORPUS/index.tsv" ] || skip "there is no corpus in $CORPUS (PMUFLAME_CORPUS)"
	tools=${builddir:?}/tests/tools
}

@test "every recording has the samples, weights and losses that the index says" {
	if ! grep -q 'define HAVE_LIBZSTD' "$builddir/config.h"; then
		skip "built without libzstd"
	fi
	run -0 python3 "$srcdir/tests/compare_corpus.py" "$tools/perf_data_dump" "$CORPUS"
	[[ "$output" == *" recordings are read right" ]]
}

@test "broken copies of the recordings are read in bounded time and memory" {
	count=$([ -n "${PMF_LONG:-}" ] && echo 20000 || echo 500)
	run -0 "$tools/perf_data_mutate" "$count" 1 "$CORPUS"/*.data
	[[ "${lines[-1]}" == "$count copies, "* ]]
}
