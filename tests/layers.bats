#!/usr/bin/env bats
# scripts/layers: the tree keeps to its rules, and each rule is really enforced.

setup()
{
	mkdir -p "$BATS_TEST_TMPDIR"/{src/base,src/event,src/render,include/pmuflame,scripts,tests}
	cd "$BATS_TEST_TMPDIR" || return
	cp "${srcdir:?}/scripts/layers.txt" scripts/
	echo '#include "pmuflame/err.h"' >include/pmuflame/event.h
	printf '#include "pmuflame/event.h"\n#include <stdio.h>\n#include "spec_priv.h"\n' \
		>src/event/spec.c
	touch src/event/spec_priv.h include/pmuflame/err.h
}

layers()
{
	run "${srcdir:?}/scripts/layers" "$BATS_TEST_TMPDIR"
}

violation()
{
	layers
	[ "$status" -eq 1 ]
	[[ $output == "$1"* ]]
}

@test "this tree keeps to scripts/layers.txt" {
	run "${srcdir:?}/scripts/layers"
	echo "$output"
	[ "$status" -eq 0 ]
}

@test "an obedient tree passes" {
	layers
	[ "$status" -eq 0 ]
	[ -z "$output" ]
}

@test "an include that the rules do not allow is named" {
	printf '\n#include "pmuflame/event.h"\n' >src/render/svg.c
	violation "src/render/svg.c:2: render may not include pmuflame/event.h"
}

@test "angle brackets are no way around" {
	echo '# include <pmuflame/event.h>' >src/base/text.c
	violation "src/base/text.c:1: base may not include"
}

@test "public headers are held to the same rules" {
	echo '#include "pmuflame/event.h"' >include/pmuflame/hash.h
	violation "include/pmuflame/hash.h:1: base may not include"
}

@test "a private header of another module is refused, by path or by name" {
	echo '#include "../event/spec_priv.h"' >src/render/svg.c
	violation "src/render/svg.c:1: includes \"../event/spec_priv.h\" by a path"
	echo '#include "spec_priv.h"' >src/render/svg.c
	violation "src/render/svg.c:1: includes \"spec_priv.h\", which is private to src/event"
}

@test "a module without a line in the rules is refused" {
	mkdir src/extra
	echo '#include <stdio.h>' >src/extra/thing.c
	violation "src/extra/thing.c:1: module \"extra\" has no line"
}

@test "a file name that occurs twice is refused" {
	touch src/base/spec.c
	layers
	[ "$status" -eq 1 ]
	[[ $output == *"src/base/spec.c has this name too"* ]]
}
