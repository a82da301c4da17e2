#!/bin/bash
# bats-tries BATS [OPTION...] FILE: a file of tests as TAP. What fails is tried again, alone, at most twice: tests of
# live runs measure, on machines whose hosts stop them now and then. What failed is told all the same, in comments
# below a line "# tried again: FILE N NAME". A crash, or what a sanitizer reports, is no matter of time, and is not
# tried again.
set -uo pipefail
tries=3
file=${*: -1}
crash='Sanitizer|: runtime error: |(Segmentation fault|Aborted|Illegal instruction|Bus error)|core dumped'
dir=$(mktemp -d) || exit 1
trap 'rm -rf "$dir"' EXIT

# failed TAP: the names of what failed, as the regular expression of all of them.
failed()
{
	sed -nE '/^not ok [0-9]+ /{ s///; s/[][\.*^$+?(){}|]/\\&/g; p }' "$1" | paste -sd'|' | sed -E 's/.+/^(&)$/'
}

"$@" >"$dir/tap"
status=$?
for ((try = 2; try <= tries; try++)); do
	names=$(failed "$dir/tap")
	if [ -z "$names" ] || grep -qE "$crash" "$dir/tap"; then break; fi
	"$@" --filter "$names" >"$dir/again"
	# The line of a test's result, and those below it, are what the last try says.
	awk -v file="${file##*/}" '
		function name(line) { sub(/^(not )?ok [0-9]+ /, "", line); sub(/ # skip.*/, "", line); return line }
		/^(not )?ok / { of = name($0) }
		FNR == NR {
			if (/^(not )?ok /) result[of] = $0
			else if (of != "") below[of] = below[of] $0 "\n"
			next
		}
		/^not ok / && of in result {
			word = result[of] ~ /^ok / ? "ok" : "not ok"
			number = $1 == "not" ? $3 : $2
			sub(/^(not )?ok [0-9]+/, "", result[of])
			printf "%s %s%s\n%s", word, number, result[of], below[of]
			print "# tried again: " file " " number " " of
			next
		}
		{ print }' "$dir/again" "$dir/tap" >"$dir/merged"
	mv "$dir/merged" "$dir/tap"
	status=0
done
cat "$dir/tap"
if grep -q '^not ok' "$dir/tap"; then exit 1; fi
exit "$status"
