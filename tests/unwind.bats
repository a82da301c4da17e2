#!/usr/bin/env bats
# The own unwinder against libunwind without a cache, on the same samples of real programs: at least
# 2,000 samples each, 99.9 % of which must agree in every frame and in how they end.

setup_file()
{
	load live.bash
	cd "${BATS_FILE_TMPDIR:?}" || return
	[ "$(uname -m)" = x86_64 ] || skip "libunwind is no oracle on $(uname -m): see src/unwind/unwind_cfi.c"
	local flags=(-D_GNU_SOURCE -O2 -fPIE -fomit-frame-pointer)
	local workloads=${srcdir:?}/tests/workloads
	cc "${flags[@]}" -c "$workloads/workload.c" -o workload.o
	c++ "${flags[@]}" -c "$workloads/deep.cpp" -o deep.o
}

setup()
{
	load live.bash
	live_setup
	cd "$BATS_FILE_TMPDIR" || return
}

# agrees COMMAND...: both unwinders see the same in it.
agrees()
{
	local numbers
	numbers=$("${builddir:?}/tests/tools/unwind_compare" -F 4000 -s 16384 -v 5 -- "$@" 2>differ | tail -n 1)
	echo "$numbers"
	grep alike differ || true
	jq -e '.samples >= 2000 and .agree >= 0.999 * .samples and .bare <= 0.01 * .samples' \
		<<<"$numbers"
}

# linked FLAGS...: a deep C++ program, made with these flags of the linker.
linked()
{
	c++ "$@" deep.o workload.o -o linked || skip "the toolchain cannot link with $*"
	agrees ./linked --seconds 1
}

@test "C++ 60 frames deep" {
	agrees deep --seconds 1
}

@test "linked by lld" {
	linked -fuse-ld=lld
}

@test "linked by gold" {
	linked -fuse-ld=gold
}

@test "without .eh_frame_hdr" {
	linked -Wl,--no-eh-frame-hdr
	run readelf -SW linked
	[[ $output == *.eh_frame* && $output != *.eh_frame_hdr* ]]
}

@test "static" {
	linked -static -no-pie
}

@test "static-pie" {
	linked -static-pie
}

@test "python3" {
	agrees /usr/bin/python3 -c '
import json, re, time
while time.process_time() < 1:
    json.loads(json.dumps({"key": [1] * 20, "text": re.sub("a+", "b", "aab" * 10)}))'
}

@test "perl" {
	# shellcheck disable=SC2016 # perl's variables
	agrees perl -e 'while ((times)[0] < 1) {
		my @a = sort { $b <=> $a } map { $_ * 7 % 31 } 1 .. 8;
		join(",", @a) =~ /(\d+),3/;
	}'
}

@test "openssl" {
	agrees openssl speed -seconds 1 rsa2048
}

@test "gdb" {
	gdb_at_work agrees
}
