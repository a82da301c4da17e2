#!/usr/bin/env bats
# The pictures are well-formed XML (xmllint: Debian's libxml2-utils), the script is valid JavaScript.

# `! command` in the middle of a test would not fail it.
absent() {
	if grep "$@"; then
		return 1
	fi
}

check() {
	command -v xmllint > /dev/null || skip "xmllint is not installed"
	"${builddir:?}/tests/tools/svg_sample" "$1" > "$BATS_TEST_TMPDIR/$1.svg"
	xmllint --noout --nonet --huge "$BATS_TEST_TMPDIR/$1.svg"
}

@test "svg: a usual profile is well-formed" {
	check normal
}

@test "svg: hostile names are well-formed" {
	check hostile
	absent '<script>alert' "$BATS_TEST_TMPDIR/hostile.svg"
}

@test "svg: an empty profile is well-formed and says why it is empty" {
	check empty
	grep -q 'the program ended before its first period was over' "$BATS_TEST_TMPDIR/empty.svg"
}

@test "svg: a stack of 5,000 frames is well-formed" {
	check deep
}

@test "svg: 100,000 frames are well-formed, in less than 10 MB" {
	check big
	[ "$(wc -c < "$BATS_TEST_TMPDIR/big.svg")" -lt 10000000 ]
}

@test "svg: nothing is loaded from elsewhere" {
	check normal
	# Namespaces are names, not addresses to load.
	sed -e 's|http://www.w3.org/2000/svg||g' -e 's|http://www.w3.org/1999/xhtml||g' \
		"$BATS_TEST_TMPDIR/normal.svg" > "$BATS_TEST_TMPDIR/bare.svg"
	absent -E 'https?://|href|@import|src=' "$BATS_TEST_TMPDIR/bare.svg"
}

@test "svg: the pages' sources can stand in a CDATA section or a script element, and parse" {
	absent -F ']]>' "${srcdir:?}"/src/render/web/*
	absent -i -e '</script' -e '<!--' "$srcdir"/src/render/web/*.js
	command -v node > /dev/null || skip "node is not installed"
	for script in "$srcdir"/src/render/web/*.js; do
		node --check "$script"
	done
}
