# shellcheck shell=bash
# What the bats files of live runs share.

# The programs to profile.
export PATH="${builddir:?}/tests/workloads:$PATH"

# Where runs of this test leave their files. What works for the first test of a file works for all.
live_setup()
{
	cd "${BATS_TEST_TMPDIR:?}" || return
	[ ! -e "${BATS_FILE_TMPDIR:?}/live" ] || return 0
	if ! "${PMUFLAME:?}" -q -e cpu-clock -o probe -- true 2>why; then
		skip "no software event can be sampled here: $(head -n 1 why)"
	fi
	touch "$BATS_FILE_TMPDIR/live"
}

# profile [OPTIONS...] -- COMMAND...: a quiet run whose numbers land in s.json.
profile()
{
	"$PMUFLAME" --summary s.json -o out/ --format svg,folded "$@"
}

# number JQ-EXPRESSION: from the summary.
number()
{
	jq -r "$1" s.json
}

# share EVENT FUNCTION: the function's part of all that was sampled, self, in percent. A function
# counts in every module and process.
share()
{
	jq -r --arg e "$1" --arg f "$2" '.events[] | select(.event == $e) |
		100 * ([.functions[] | select(.name == $f) | .self] | add // 0) /
		(([.functions[].self] | add) // 1)' s.json
}

# weight FOLDED [REGEX]: of the stacks that match.
weight()
{
	awk -v re="${2-}" '$0 ~ re { w += $NF } END { printf "%.0f\n", w }' "$1"
}

# folded_share FILE REGEX: what part of what was sampled has a stack that matches, in percent; of all that was
# counted, if REGEX has [unsampled]: where a machine's host stops it now and then, its timers miss what ran on.
folded_share()
{
	awk -v re="$2" 're !~ /unsampled/ && /(^|;)\[unsampled\] [0-9]+$/ { next }
		{ w = $NF; all += w; if ($0 ~ re) hit += w }
		END { printf "%.3f\n", all ? 100 * hit / all : 0 }' "$1"
}

# within VALUE LOW HIGH
within()
{
	awk -v v="$1" -v lo="$2" -v hi="$3" 'BEGIN { exit !(v + 0 == v && v >= lo && v <= hi) }' || {
		echo "$1 is not within $2 to $3" >&2
		return 1
	}
}

# gdb with something to do for a second of its CPU time: gdb_at_work COMMAND... runs COMMAND... gdb ...
gdb_at_work() {
	cat >commands <<-'END'
		python
		import gdb, time
		while time.process_time() < 1:
		    gdb.execute("output 1 + 2 * 3", to_string=True)
		end
	END
	"$@" gdb -batch -nx -x commands
}

# ---- Python ----

# live_setup for tests that need frames of $PYTHON.
python_setup()
{
	[ -x "${PYTHON:?}" ] || skip "there is no $PYTHON"
	live_setup
	[ ! -e "${BATS_FILE_TMPDIR:?}/python" ] || return 0
	profile -q --python yes -e cpu-clock -- "$PYTHON" -c 'sum(range(3000000))' 2>why ||
		skip "no Python frames here: $(cat why)"
	rm -rf out
	touch "$BATS_FILE_TMPDIR/python"
}

# Debian's, and all others that are found.
interpreters()
{
	local path
	for path in "$PYTHON" /usr/bin/python3.{8..14} /usr/local/bin/python3.{8..14} \
		"$HOME"/.pyenv/versions/3.{8..14}.*/bin/python3; do
		[ ! -x "$path" ] || readlink -f "$path"
	done | sort -u
}

# Options in $COPIED for runs whose recorder is copied, to write a snapshot or an interval: in a build with gcc's
# ASan nothing of another thread may run then, for its allocator stays as locked in the copy as it was.
copied_options()
{
	COPIED=()
	# shellcheck disable=SC2034 # the callers'
	if ldd "${PMUFLAME:?}" | grep -q libasan; then COPIED=(--inline no); fi
}
