#!/usr/bin/env bats
# Source lines and inlined calls: the same as llvm-symbolizer's and eu-addr2line's at random addresses, and
# the same whichever way the compiler was told to write them. docs/debug-info.md has the known
# differences; scripts/compare-lines asks for more addresses, of any program.

bats_require_minimum_version 1.5.0

sources=(buf hash mem)

setup()
{
	cd "${BATS_TEST_TMPDIR:?}" || return
	lines_at=${builddir:?}/tests/tools/lines_at
}

need()
{
	local tool
	for tool; do
		command -v "$tool" >/dev/null || skip "no $tool here"
	done
}

# build CC FOLDER [FLAGS...]: an object of each source, as for -gsplit-dwarf, linked to FOLDER/lib.so.
build()
{
	local cc=$1 folder=$2 name
	shift 2
	mkdir -p "$folder"
	for name in "${sources[@]}"; do
		(cd "$folder" && "$cc" -O2 -fPIC -D_GNU_SOURCE -I"${srcdir:?}/include" -g "$@" \
			-c "$srcdir/src/base/$name.c") || return
	done
	(cd "$folder" && "$cc" -shared "$@" -o lib.so "${sources[@]/%/.o}")
}

# One in a hundred may be an address that two inlined calls claim, of which tools choose.
compare()
{
	python3 "$srcdir/tests/compare_lines.py" "$lines_at" --count 400 --allow 4 "$@"
}

# Every fifth address of .text.
places()
{
	local start size
	read -r start size < <(readelf -SW "$1" | sed -n 's/.* \.text  *PROGBITS *\([0-9a-f]*\) [0-9a-f]* \([0-9a-f]*\) .*/\1 \2/p')
	seq "$((16#$start))" 5 "$((16#$start + 16#$size))" | xargs printf '%x\n' |
		"$lines_at" "$1" "$BATS_TEST_TMPDIR/debug" 2>/dev/null
}

# same_as_plain LIBRARY: the places of the same code with other debug information.
same_as_plain()
{
	cmp <(objcopy -O binary -j .text plain/lib.so /dev/stdout) <(objcopy -O binary -j .text "$1" /dev/stdout)
	[ -s plain.txt ] || places plain/lib.so >plain.txt
	places "$1" >variant.txt
	# The files are named as the command line had them, which may be by another folder.
	diff plain.txt variant.txt
}

@test "gcc: as eu-addr2line and llvm-symbolizer say" {
	need gcc llvm-symbolizer eu-addr2line
	build gcc plain
	compare plain/lib.so
	build gcc lines -g1
	compare lines/lib.so --peers llvm
	build gcc dropped -ffunction-sections -Wl,--gc-sections -Wl,-e,pmf_buf_printf \
		-Wl,--version-script=<(echo '{ global: pmf_buf_printf; local: *; };')
	compare dropped/lib.so --peers llvm
}

@test "clang: as llvm-symbolizer says" {
	need clang llvm-symbolizer ld.lld
	build clang plain
	compare plain/lib.so --peers llvm
	build clang lines -gline-tables-only
	compare lines/lib.so --peers llvm
	build clang dropped -fuse-ld=lld -ffunction-sections -Wl,--gc-sections \
		-Wl,--version-script=<(echo '{ global: pmf_buf_printf; local: *; };')
	compare dropped/lib.so --peers llvm
}

@test "C++: as llvm-symbolizer says" {
	need llvm-symbolizer
	compare "$builddir/tests/bench/bench_work" --peers llvm
}

@test "C++: functions without a linkage name are told by their namespaces and classes" {
	need g++ objcopy dwz
	cat >sums.cc <<-'END'
		#include <algorithm>
		namespace app { namespace {
		struct Key { static inline int mix(int a) { volatile int r = a; return r ^ a; } };
		template <class T> static inline T half(T a) { volatile T r = a; return r / 2; }
		struct Less { bool operator()(int a, int b) const { return Key::mix(a) < half(b); } };
		} }
		static inline int alone(int a) { volatile int r = a; return r + 1; }
		int main(int argc, char **argv)
		{
			int v[100] = {argc};
			std::sort(v, v + 100, app::Less());
			auto lambda = [&](int i) { volatile int r = v[i]; return r; };
			return alone(v[0]) + lambda(argc);
		}
	END
	local flags
	for flags in -g '-g -gsplit-dwarf' '-gdwarf-4 -flto' -gdwarf-4; do
		# shellcheck disable=SC2086
		g++ -O2 $flags -c sums.cc
		# shellcheck disable=SC2086
		g++ -O2 $flags -o sums sums.o
		places sums | cut -f1 >names.txt
		grep -qx 'app::(anonymous namespace)::Key::mix' names.txt
		grep -qx 'app::(anonymous namespace)::half<int>' names.txt
		grep -q '^std::sort<int\*' names.txt
		grep -qx alone names.txt
		grep -qx '(anonymous class at line 12)::operator()' names.txt
	done
	# In units of dwz's that others take parts from, too.
	dwz sums
	places sums | cut -f1 | cmp - names.txt
}

@test "a header that units reach by different paths is one file" {
	need gcc
	mkdir sub
	echo 'static inline int twice(int a) { volatile int r = a; return r + r; }' >twice.h
	printf '#include "../twice.h"\nint one(int a) { return twice(a); }\n' >sub/one.c
	printf '#include "./twice.h"\nint two(int a) { return twice(a); }\n' >two.c
	local version
	for version in 4 5; do
		(cd sub && gcc -O2 -fPIC -g "-gdwarf-$version" "-ffile-prefix-map=${PWD%/*}=." -c one.c)
		gcc -O2 -fPIC -g "-gdwarf-$version" "-ffile-prefix-map=$PWD=." -c two.c
		gcc -shared -o lib.so sub/one.o two.o
		[ "$(places lib.so | sed -n 's/^twice\t//p' | sort -u)" = $'twice.h:1\ttwice.h:1' ]
	done
}

@test "Rust: as llvm-symbolizer says" {
	need rustc llvm-symbolizer
	cat >sums.rs <<-'END'
		use std::collections::BTreeMap;
		fn main() {
			let mut m: BTreeMap<u64, Vec<u64>> = BTreeMap::new();
			(0..1000u64).for_each(|i| m.entry(i * 7 % 97).or_default().push(i));
			println!("{}", m.range(3..50).map(|(k, v)| k + v.iter().filter(|x| *x % 3 == 0).sum::<u64>()).sum::<u64>());
		}
	END
	rustc -O -g -o sums sums.rs
	compare sums --peers llvm
}

@test "Go: as llvm-symbolizer says" {
	need go llvm-symbolizer
	printf 'package main\n\nfunc main() { println("sums") }\n' >sums.go
	GOFLAGS=-mod=mod go build -o sums sums.go
	compare sums --peers llvm
}

@test "DWARF 2 to 5 and compressed sections say the same" {
	need gcc objcopy
	build gcc plain
	for flag in -gdwarf-2 -gdwarf-3 -gdwarf-4 -gdwarf-5 -gdwarf64 -gz=zlib -gz=zlib-gnu; do
		build gcc "v$flag" "$flag"
		same_as_plain "v$flag/lib.so"
	done
	# Zeros stand for the code in a separate file.
	objcopy --only-keep-debug plain/lib.so plain.debug
	places plain/lib.so >plain.txt
	[ -s plain.txt ]
	awk '/^0x/' plain.txt | "$lines_at" plain.debug 2>/dev/null | diff plain.txt -
}

@test "split DWARF in .dwo and .dwp says the same" {
	need gcc objcopy dwp
	local cc version
	for cc in gcc $(type -P clang >/dev/null && echo clang); do
		rm -rf plain plain.txt
		build "$cc" plain
		for version in 4 5; do
			build "$cc" "split-$cc-$version" -gsplit-dwarf "-gdwarf-$version"
			same_as_plain "split-$cc-$version/lib.so"
			# binutils' dwp packs version 4 only, and llvm's does not end over gcc's version 5.
			if [ "$version" = 4 ]; then
				(cd "split-$cc-4" && dwp -e lib.so -o lib.so.dwp)
			elif [ "$cc" = clang ] && type -P llvm-dwp >/dev/null; then
				(cd "split-$cc-5" && timeout 60 llvm-dwp -e lib.so -o lib.so.dwp)
			else
				continue
			fi
			rm "split-$cc-$version"/*.dwo
			same_as_plain "split-$cc-$version/lib.so"
			# Without either there are lines, and functions only as far as the program has them.
			rm "split-$cc-$version/lib.so.dwp"
			places "split-$cc-$version/lib.so" | grep -q 'buf\.c:'
		done
	done
}

@test "dwz's files say the same" {
	need gcc objcopy dwz
	build gcc plain -gdwarf-4
	cp plain/lib.so alone.so
	dwz alone.so
	same_as_plain alone.so
	cp plain/lib.so one.so
	cp plain/lib.so two.so
	dwz -m common.debug -M "$PWD/common.debug" one.so two.so
	readelf -SW one.so | grep -q gnu_debugaltlink
	same_as_plain one.so
	# Moved away from where dwz wrote it: by build id, below the root of debug files.
	id=$(readelf -n common.debug | sed -n 's/.*Build ID: //p')
	mkdir -p "debug/.build-id/${id:0:2}"
	mv common.debug "debug/.build-id/${id:0:2}/${id:2}.debug"
	same_as_plain one.so
	# Another file in its place is not taken for it.
	mv "debug/.build-id/${id:0:2}/${id:2}.debug" plain.debug
	cp plain/lib.so common.debug
	places one.so >wrong.txt
	run -1 cmp -s plain.txt wrong.txt
}

@test "a FIFO in the place of debug information is not waited for" {
	need gcc
	build gcc split -gsplit-dwarf
	rm split/buf.dwo
	mkfifo split/buf.dwo split/lib.so.dwp
	places split/lib.so | grep -q 'buf\.c:'
}
