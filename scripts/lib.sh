# shellcheck shell=bash
# What the scripts share: messages, the Debian packages that each needs, how to get them, and builds.
# Sourced, with $top set to the source tree.

# Debian's own tools before any others: its python3 is the one that has Debian's pandas.
PATH=/usr/sbin:/usr/bin:/sbin:/bin:$PATH
export PATH DEBIAN_FRONTEND=noninteractive

say()
{
	printf '%s: %s\n' "${0##*/}" "$*" >&2
}

die()
{
	say "$*"
	exit 1
}

# One per line: the package, then what shows that it is there: a command, or a file's absolute path
# (which may be a pattern). A tool that came from elsewhere is as good as Debian's.
# shellcheck disable=SC2034 # the lists are for the scripts that source this
build_packages='
autoconf        autoreconf
automake        automake
make            make
gcc             gcc
g++             g++
libc6-dev       /usr/include/stdio.h
linux-libc-dev  /usr/include/linux/perf_event.h
pkg-config      pkg-config
libpfm4-dev     /usr/include/perfmon/pfmlib_perf_event.h
libunwind-dev   /usr/include/*/libunwind.h
libelf-dev      /usr/include/libelf.h
liblzma-dev     /usr/include/lzma.h
zlib1g-dev      /usr/include/zlib.h
libinih-dev     /usr/include/ini.h
libzstd-dev     /usr/include/zstd.h
libjansson-dev  /usr/include/jansson.h
libpcre2-dev    /usr/include/pcre2.h
libseccomp-dev  /usr/include/seccomp.h
libiberty-dev   /usr/include/libiberty/demangle.h
libbpf-dev      /usr/include/bpf/libbpf.h
clang           clang
'
# What the Python workloads need.
# shellcheck disable=SC2034
python_packages='
python3         /usr/bin/python3
python3-pandas  /usr/lib/python3/dist-packages/pandas/__init__.py
python3-sqlalchemy /usr/lib/python3/dist-packages/sqlalchemy/__init__.py
'
# What scripts/compare-lines compares with.
# shellcheck disable=SC2034
line_packages='
python3         /usr/bin/python3
binutils        readelf
elfutils        eu-addr2line
llvm            llvm-symbolizer
'
# What scripts/serve-load needs beside those of builds.
# shellcheck disable=SC2034
serve_packages='
apache2-bin     apache2
nghttp2-client  h2load
'
# shellcheck disable=SC2034
test_packages=$python_packages$line_packages$serve_packages'
dwz             dwz
bats            bats
bash-completion /usr/share/bash-completion/bash_completion
libcmocka-dev   /usr/include/cmocka.h
binutils        objdump
clang           clang
libclang-rt-dev /usr/lib/llvm-*/lib/clang/*/lib/linux/libclang_rt.asan-*.a
lld             ld.lld
clang-format    clang-format
clang-tidy      clang-tidy
cppcheck        cppcheck
shellcheck      shellcheck
groff-base      groff
libxml2-utils   xmllint
valgrind        valgrind
linux-perf      perf
gdb             gdb
openssl         openssl
chromium        chromium
nodejs          node
npm             npm
jq              jq
git             git
xz-utils        xz
debuginfod      debuginfod
python3-jsonschema /usr/lib/python3/dist-packages/jsonschema/__init__.py
python3-venv    /usr/lib/python3*/ensurepip/__init__.py
python3-pytest-xdist /usr/lib/python3/dist-packages/xdist/__init__.py
gunicorn        gunicorn
jupyter-nbconvert jupyter-nbconvert
python3-ipykernel /usr/lib/python3/dist-packages/ipykernel/__init__.py
python3-poetry  poetry
musl-tools      musl-gcc
'
# What scripts/check --full needs beside the above.
# shellcheck disable=SC2034
full_packages='
golang-go       go
default-jdk-headless javac
rustc           rustc
'
# What scripts/bench needs beside the programs that make builds.
# shellcheck disable=SC2034
bench_packages='
clang           clang++
linux-perf      perf
python3         /usr/bin/python3
python3-pandas  /usr/lib/python3/dist-packages/pandas/__init__.py
'
# What scripts/pmu-guest needs beside the above.
# shellcheck disable=SC2034
guest_packages='
cpio            cpio
xz-utils        xz
debian-archive-keyring /usr/share/keyrings/debian-archive-keyring.gpg
'
# shellcheck disable=SC2034
guest_arm64_packages='
qemu-system-arm       qemu-system-aarch64
gcc-aarch64-linux-gnu aarch64-linux-gnu-gcc
g++-aarch64-linux-gnu aarch64-linux-gnu-g++
'
# shellcheck disable=SC2034
guest_riscv64_packages='
qemu-system-misc      qemu-system-riscv64
opensbi               /usr/lib/riscv64-linux-gnu/opensbi/generic/fw_dynamic.bin
gcc-riscv64-linux-gnu riscv64-linux-gnu-gcc
g++-riscv64-linux-gnu riscv64-linux-gnu-g++
'

is_there()
{
	case $1 in
	/*) compgen -G "$1" >/dev/null ;;
	*) command -v "$1" >/dev/null ;;
	esac
}

# Print the packages of list $1 that are not there.
missing_packages()
{
	local package probe
	while read -r package probe; do
		[ -z "$package" ] || is_there "$probe" || printf '%s\n' "$package"
	done <<<"$1"
}

# Install what of the lists "$@" is missing, or end with the command that would.
install_packages()
{
	local missing root=()
	mapfile -t missing < <(missing_packages "$(printf '%s\n' "$@")")
	[ "${#missing[@]}" -gt 0 ] || return 0
	local command="apt-get install -y --no-install-recommends ${missing[*]}"
	if ! command -v apt-get >/dev/null; then
		die "this system has no apt-get; install what Debian calls: ${missing[*]}"
	elif [ "$(id -u)" -ne 0 ]; then
		sudo -n true 2>/dev/null || die "packages are missing; run: sudo $command"
		root=(sudo -n)
	fi
	say "installing ${missing[*]}"
	"${root[@]}" apt-get update -qq >&2 || say "apt-get update failed; trying with the lists as they are"
	"${root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq \
		--no-install-recommends "${missing[@]}" </dev/null >&2 || die "failed: $command"
	mapfile -t missing < <(missing_packages "$(printf '%s\n' "$@")")
	[ "${#missing[@]}" -eq 0 ] || die "still missing after the installation: ${missing[*]}"
}

# Configure build folder $1 with the arguments behind it, unless it is already so.
configure_build()
{
	local dir=$1
	shift
	# shellcheck disable=SC2154 # $top: see above
	if [ ! -x "$top/configure" ] || [ "$top/configure.ac" -nt "$top/configure" ]; then
		"$top/autogen.sh" || return
	fi
	mkdir -p "$dir" || return
	if [ ! -f "$dir/Makefile" ] || [ "$(cat "$dir/.configured" 2>/dev/null)" != "$top $*" ]; then
		(cd "$dir" && "$top/configure" -q "$@") || return
		printf '%s\n' "$top $*" >"$dir/.configured"
	fi
}

# Build the command and the workloads in build/; what that says goes to a log in there.
build_workloads()
{
	local log=$top/build/${0##*/}.log
	mkdir -p "$top/build" || die "cannot make $top/build"
	say "building (log in build/${log##*/})"
	if ! { configure_build "$top/build" && make -C "$top/build" -j"$(nproc)"; } >"$log" 2>&1 </dev/null; then
		tail -n 30 "$log" >&2
		die "the build failed; the whole log is $log"
	fi
}
