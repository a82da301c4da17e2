#!/usr/bin/env bats
# tests/bats-tries.bash: what fails is tried again, alone, and told; what crashed is not.
bats_require_minimum_version 1.5.0

# tries TEST...: of a file with these tests, which count their tries in files.
tries()
{
	cd "${BATS_TEST_TMPDIR:?}" || return
	# shellcheck disable=SC2016 # for the inner tests
	printf '%s\n' 'try() { echo >>"$1"; [ "$(wc -l <"$1")" -ge "$2" ]; }' "$@" >inner.bats
	run --separate-stderr env -i PATH="$PATH" TMPDIR="$PWD" bash "${srcdir:?}/tests/bats-tries.bash" \
		"${BATS_ROOT:?}/bin/bats" --tap inner.bats
}

@test "who passes at the second or third try is told, and why it did not before" {
	tries '@test "good" { try good 1; }' '@test "a (b)|c* %" { echo why; try second 2; }' '@test "third" { try third 3; }' \
		'@test "skips" { skip "so"; }'
	[ "$status" -eq 0 ]
	[ "$(grep -E '^(ok|not ok|1\.\.)' <<<"$output")" = '1..4
ok 1 good
ok 2 a (b)|c* %
ok 3 third
ok 4 skips # skip so' ]
	[ "$(grep '^# tried again' <<<"$output")" = '# tried again: inner.bats 2 a (b)|c* %
# tried again: inner.bats 3 third
# tried again: inner.bats 3 third' ]
	grep -qx '# why' <<<"$output"
	[ "$(cat good second third | wc -l)" -eq 6 ]
}

@test "who never passes fails, three times" {
	tries '@test "never" { try never 9; }' '@test "good" { try good 1; }'
	[ "$status" -eq 1 ]
	[ "$(grep -E '^(not )?ok' <<<"$output")" = $'not ok 1 never\nok 2 good' ]
	[ "$(wc -l <never)" -eq 3 ]
	[ "$(wc -l <good)" -eq 1 ]
}

@test "a crash and what a sanitizer reports are not tried again" {
	# shellcheck disable=SC2016 # for the inner tests
	tries '@test "crashes" { try crashes 2 || bash -c "kill -SEGV \$\$"; }'
	[ "$status" -eq 1 ]
	[ "$(wc -l <crashes)" -eq 1 ]
	tries '@test "asan" { echo "ERROR: AddressSanitizer: heap-use-after-free"; try asan 2; }'
	[ "$status" -eq 1 ]
	[ "$(wc -l <asan)" -eq 1 ]
}

@test "a file that does not run is a failure" {
	tries '@test "unfinished" {'
	[ "$status" -ne 0 ]
}
