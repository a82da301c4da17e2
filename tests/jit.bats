#!/usr/bin/env bats
# Code that runtimes generate: its names by perf maps and jitdump files, and stacks through it.

bats_require_minimum_version 1.5.0
WORKLOADS=${srcdir:?}/tests/workloads

setup()
{
	load live.bash
	live_setup
}

# self FUNCTION: the part of the samples that it was the leaf of, in percent.
self()
{
	folded_share "$(echo out/*.folded)" ";$1 [0-9]+\$"
}

# rooted: the part of the stacks that reach the root, in percent.
rooted()
{
	number '.events[0] | 100 * .rooted_stacks / .samples'
}

# without_map COMMAND...: its perf map, which would stay, is removed.
without_map()
{
	local pid
	pid=$("$@") || return
	rm -f "/tmp/perf-$pid.map"
}

@test "jitdump: code that takes turns at one address is told apart by time" {
	profile -q -F 1999 -e cpu-clock --raw raw.data -- jitcode dump
	within "$(self 'alpha_\\[j]')" 66 80
	within "$(self 'beta_\\[j]')" 18 32
	within "$(number '.events[0].unresolved_frames')" 0 10
	grep -Eq '^jitcode;_start;.*;main;burn;alpha_\[j\] ' out/*.folded
	gunzip -c out/*.pb.gz | grep -aq '/src/greek.c'
	# A recording of the same, as perf inject would see it.
	"$PMUFLAME" render --format folded -o again/ raw.data
	within "$(folded_share again/*.folded ';alpha_\[j] ')" 66 80
	within "$(folded_share again/*.folded ';beta_\[j] ')" 18 32
}

@test "jitdump: code that has lost the frame pointer is left as its records of unwinding say" {
	[ "$(uname -m)" = x86_64 ] || skip "the code is x86-64's"
	profile -q -F 1999 -e cpu-clock --raw raw.data -- jitcode cfi
	within "$(folded_share out/*.folded '^jitcode;_start;.*;main;burn;delta_\[j] ')" 95 100
	within "$(rooted)" 98 100
	"$PMUFLAME" render --format folded -o again/ raw.data
	within "$(folded_share again/*.folded ';main;burn;delta_\[j] ')" 95 100
}

@test "perf map: a name counts from when it was seen; one that comes last is still in time" {
	without_map profile -q -F 1999 -e cpu-clock -- jitcode map
	# A look every 50 ms, of 800.
	within "$(self 'alpha_\\[j]')" 55 85
	within "$(self 'beta_\\[j]')" 15 40
	rm -r out
	without_map profile -q -F 1999 -e cpu-clock -- jitcode late
	within "$(self 'alpha_\\[j]')" 66 80
	within "$(self 'beta_\\[j]')" 18 32
	number '.events[0].unresolved_frames' | grep -qx 0
}

# refused SENTENCE SHELL-COMMANDS: what they leave as \$map is not read.
refused()
{
	rm -rf out
	profile -q -e cpu-clock -- sh -c "map=/tmp/perf-\$\$.map; rm -f \$map; $2; exec jitcode none" >pid
	rm -f "/tmp/perf-$(<pid).map"
	number '.notes[].text' | grep -q "names of generated code are missing: '/tmp/perf-$(<pid).map' was not read.*$1"
	within "$(self '\\[generated code: [a-z]*]_\\[j]')" 80 100
}

@test "perf maps that are hostile are refused in a sentence" {
	refused 'symbolic link' "ln -s /etc/hostname \$map"
	refused 'no regular file' "mkfifo \$map"
	refused 'line of over a megabyte' "truncate -s 100G \$map"
	refused 'START SIZE NAME' "head -c 4M /dev/urandom >\$map"
	refused 'other users may write it' "echo 1000 10 a >\$map; chmod 666 \$map"
	[ "$(id -u)" = 0 ] || skip "files of another user need root"
	refused 'belongs to another user' "echo 1000 10 a >\$map; chown 12345 \$map"
}

@test "a container's perf map is found in its own folders, by its own number" {
	local alone=(unshare --pid --fork --mount --mount-proc)
	"${alone[@]}" mount -t tmpfs none /tmp || skip "namespaces and mounts are not permitted here"
	# shellcheck disable=SC2016 # for the inner shell
	profile -q -F 1999 -e cpu-clock -- "${alone[@]}" sh -c \
		'exec 3<"$1"; mount -t tmpfs none /tmp && exec /proc/self/fd/3 map' sh "$(command -v jitcode)" >pid
	[ "$(<pid)" = 1 ]
	within "$(self 'alpha_\\[j]')" 55 85
	within "$(self 'beta_\\[j]')" 15 40
}

@test "names in a map are text, whatever is in them" {
	without_map profile -q -e cpu-clock --format svg,folded,html -- \
		jitcode map $'<script>alert(1)</script>"&\033[31m\a'
	within "$(self '<script>alert.1.</script>"&.\\[31m._\\[j]')" 50 90
	run ! grep -q '<script>alert' out/*.svg out/*.html
	run ! grep -q $'\033' out/*.svg out/*.html out/*.folded
}

@test "Node.js is told to name its functions, is unwound, and leaves no map behind" {
	command -v node >/dev/null || skip "Node.js is not installed"
	profile -q -F 1999 -e cpu-clock -- node "$WORKLOADS/jit.js" 1 >told
	grep -q -- '--perf-basic-prof' told
	[ ! -e "/tmp/perf-$(cut -d' ' -f1 told).map" ]
	within "$(rooted)" 98 100
	within "$(number '.events[0] | 100 * .unresolved_frames / .frames')" 0 1
	within "$(folded_share out/*.folded '\[generated code')" 0 3
	# Compiled, interpreted, asynchronous, called from builtins, and made at run time.
	for f in fib sortObjects regexps garbage made step main; do
		grep -q ";$f (jit.js)_\[j\]" out/*.folded
	done
	grep -q ';main (jit.js)_\[j\];sortObjects (jit.js)_\[j\];Builtins_Array.*;(anonymous) (jit.js:' out/*.folded
	number '.notes[].text' | grep -q 'Node.js was run with NODE_OPTIONS='
}

@test "npm's children are told, too; --jit off and an own choice are kept" {
	command -v npm >/dev/null || skip "npm is not installed"
	mkdir my-perf-profiles # which is no switch
	cp "$WORKLOADS/jit.js" my-perf-profiles
	cd my-perf-profiles || return
	echo '{"name": "work", "version": "1.0.0", "scripts": {"start": "node --no-warnings jit.js 0.5"}}' >package.json
	export NODE_OPTIONS=--stack-trace-limit=20 npm_config_update_notifier=false
	profile -q -F 997 -e cpu-clock -- npm --prefix "$PWD" start --silent >told
	grep -q -- '--stack-trace-limit=20 --perf-basic-prof --interpreted' told
	grep -q ';fib (jit.js)_\[j\]' out/*.folded
	[ ! -e "/tmp/perf-$(cut -d' ' -f1 told).map" ]
	rm -r out
	profile -q --jit off -e cpu-clock -- node jit.js 0.2 >told
	grep -q -- ' --stack-trace-limit=20 true$' told
	run ! grep -q 'fib (jit.js)' out/*.folded
	rm -r out
	profile -q -e cpu-clock -- node --perf-basic-prof jit.js 0.2 >told
	grep -q -- ' --stack-trace-limit=20 true$' told
	rm "/tmp/perf-$(cut -d' ' -f1 told).map"
	run ! grep -q 'NODE_OPTIONS' s.json
	run -125 "$PMUFLAME" --jit maybe -- true
}

# java_work: compile a Java program.
java_work()
{
	if ! command -v javac >/dev/null || ! java -version 2>&1 | grep -q 'version "\(1[7-9]\|2\)'; then
		skip "no JDK from version 17 on is installed"
	fi
	[ "$(uname -m)" = x86_64 ] || skip "Java's frames are known on x86-64 only"
	javac -d . "$WORKLOADS/JitWork.java"
}

@test "Java as it is: compiled and interpreted methods by name, to the root, and nothing printed" {
	java_work
	profile -q -F 1999 -e cpu-clock -- java -cp . JitWork 2 >told 2>&1
	[ "$(<told)" = true ]
	within "$(rooted)" 97 100
	within "$(number '.events[0] | 100 * .unresolved_frames / .frames')" 0 2
	within "$(folded_share out/*.folded ';Interpreter_')" 0 5
	# What is compiled may have its callees, or itself, in its caller.
	grep -q ';JitWork.main(java.lang.String\[\])_\[j\].*;java.util.HashMap.merge(java.lang.Object, ' out/*.folded
	grep -q ';java.lang.Thread.run()_\[j\];.*;JitWork.fib(int)_\[j\];JitWork.fib(int)_\[j\]' out/*.folded
	rm -r out
	profile -q -F 1999 -e cpu-clock -- java -Xint -cp . JitWork 1 >told 2>&1
	within "$(rooted)" 97 100
	within "$(folded_share out/*.folded ';Interpreter_')" 0 5
	grep -q ';JitWork.main(java.lang.String\[\])_\[j\];JitWork.maps(int)_\[j\];java.util.HashMap.merge(' out/*.folded
	grep -q ';JitWork.regexps(int)_\[j\];java.util.regex.Matcher.replaceAll(java.lang.String)_\[j\];' out/*.folded
	grep -q ';java.lang.Thread.run()_\[j\];.*;JitWork.shapes(int)_\[j\];JitWork.Square.area()_\[j\]' out/*.folded
}
