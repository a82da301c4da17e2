#!/usr/bin/env bats
# Processes in mount, pid and user namespaces of their own, with a root folder of their own: what they run is
# named by their files, not by ours at the same path.

# shellcheck disable=SC2030,SC2031 # every test has a process, and variables, of its own

bats_require_minimum_version 1.5.0
load live.bash

# Made once: a program for inside and one for outside. Their functions differ, nothing else does.
setup_file()
{
	cd "${BATS_FILE_TMPDIR:?}" || return
	command -v cc >/dev/null || skip "there is no compiler"
	cat >work.c <<-'END'
		#include <stdint.h>
		#include <stdlib.h>
		#include <time.h>
		volatile uint64_t sink;
		__attribute__((noinline)) void WORK(double seconds)
		{
			struct timespec t;
			do {
				for (int i = 0; i < 20000; i++)
					sink = sink * 3 + 1;
				clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
			} while ((double)t.tv_sec + (double)t.tv_nsec * 1e-9 < seconds);
		}
		int main(int argc, char **argv)
		{
			WORK(argc > 1 ? atof(argv[1]) : 0.4);
			return 0;
		}
	END
	for id in sha1 none; do
		cc -g -O2 -static -Wl,--build-id="$id" -DWORK=inner_work -o "inner-$id" work.c
		cc -g -O2 -static -Wl,--build-id="$id" -DWORK=outer_work -o "outer-$id" work.c
	done
	# What a container engine does: COMMAND in the folder ROOT and in namespaces of its own.
	cat >contain <<-'END'
		#!/bin/sh
		# contain ROOT COMMAND...
		exec unshare --user --map-root-user --mount --pid --uts --fork --kill-child sh -c '
			mount --bind "$0" "$0" && cd "$0" && mkdir -p proc old &&
			mount -t proc proc proc && pivot_root . old && exec "$@"' "$@"
	END
	chmod +x contain
}

setup()
{
	PYTHON=/usr/bin/python3
	live_setup || return
	made=${BATS_FILE_TMPDIR:?}
	unset DEBUGINFOD_URLS
	unshare --user --map-root-user --mount --pid --fork true 2>why ||
		skip "no namespaces can be made here: $(cat why)"
	mkdir -p root/opt opt
}

# The program at PATH inside is not the one at the same path outside.
@test "a program at a path where another one stands outside: by build id, and by inode" {
	for id in sha1 none; do
		mkdir -p "root$PWD"
		cp "$made/inner-$id" "root$PWD/work"
		cp "$made/outer-$id" work
		profile -q -F 1999 -e cpu-clock -- "$made/contain" "$PWD/root" "$PWD/work"
		within "$(share cpu-clock inner_work)" 90 100
		[ "$(share cpu-clock outer_work)" = 0 ]
		rm -rf out
	done
}

# The run is over, and its namespaces with it, when the names are looked up.
@test "debug files inside: by build id, and beside the program" {
	local id
	id=$(readelf -n "$made/inner-sha1" | sed -n 's/.*Build ID: //p')
	objcopy --only-keep-debug "$made/inner-sha1" inner.debug
	strip -o root/opt/work "$made/inner-sha1"
	mkdir -p "root/usr/lib/debug/.build-id/${id:0:2}"
	cp inner.debug "root/usr/lib/debug/.build-id/${id:0:2}/${id:2}.debug"
	for sandbox in no yes; do
		profile -q -F 1999 -e cpu-clock --sandbox "$sandbox" -- "$made/contain" "$PWD/root" /opt/work
		within "$(share cpu-clock inner_work)" 90 100
		rm -rf out
	done

	rm -rf root/usr
	objcopy --add-gnu-debuglink=inner.debug root/opt/work
	mkdir root/opt/.debug
	cp inner.debug root/opt/.debug
	profile -q -F 1999 -e cpu-clock -- "$made/contain" "$PWD/root" /opt/work
	within "$(share cpu-clock inner_work)" 90 100

	# A link that leads out of the tree is none.
	rm -rf out root/opt/.debug
	ln -s "$PWD" root/opt/.debug
	profile -q -F 1999 -e cpu-clock -- "$made/contain" "$PWD/root" /opt/work
	[ "$(share cpu-clock inner_work)" = 0 ]
}

@test "jitdump and perf map have the pid that their process has inside" {
	mkdir -p root/tmp
	cc -O2 -static -o root/opt/jitcode "${srcdir:?}"/tests/workloads/{jitcode,workload}.c -lm
	for way in dump map; do
		profile -q -F 1999 -e cpu-clock -- "$made/contain" "$PWD/root" /opt/jitcode "$way"
		within "$(folded_share "$(echo out/*.folded)" ';alpha_\\[j] [0-9]+$')" 55 85
		within "$(folded_share "$(echo out/*.folded)" ';beta_\\[j] [0-9]+$')" 15 40
		rm -rf out
	done
}

@test "Python frames and lines in a pid namespace, of all threads" {
	python_setup
	cat >threads.py <<-'END'
		import threading, time
		def turn(seconds):
		    end = time.thread_time() + seconds
		    while time.thread_time() < end:
		        sum(range(10000))
		def first():
		    turn(0.6)
		def second():
		    turn(0.3)
		threads = [threading.Thread(target=f) for f in (first, second)]
		for t in threads:
		    t.start()
		for t in threads:
		    t.join()
	END
	profile -q -F 1999 -e cpu-clock -- unshare --user --map-root-user --mount --pid --fork \
		--mount-proc "$PYTHON" threads.py
	within "$(folded_share "$(echo out/*.folded)" ';first \\(threads.py:7\\);turn')" 60 70
	within "$(folded_share "$(echo out/*.folded)" ';second \\(threads.py:9\\);turn')" 28 36
	number '.notes[].text | select(startswith("Python 3"))' | grep -q ' [0-9] samples whose Python frames are not known'
}

@test "Python in another network namespace: native frames, and a sentence" {
	python_setup
	profile -q -e cpu-clock -- unshare --user --net "$PYTHON" -c 'sum(range(3000000))'
	number '.notes[].text' | grep -q '^1 process with CPython did not connect'
}

@test "a container is named by its host name" {
	mkdir -p root/etc
	cp "$made/inner-sha1" root/opt/work
	printf 'web-1\033[31m\n' >root/etc/hostname
	profile -q -e cpu-clock -- "$made/contain" "$PWD/root" /opt/work
	within "$(folded_share out/*.folded '^work \\(web-1__31m\\);')" 90 100
	# In the profile it is a label of its own, and stays one.
	gunzip -c out/*.pb.gz | grep -aq container
	"$PMUFLAME" render --format folded -o again/ out/*.pb.gz
	cmp again/*.folded out/*.folded
	# Without, and of what has no name of its own.
	rm -r out
	profile -q --container no -e cpu-clock -- "$made/contain" "$PWD/root" /opt/work
	within "$(folded_share out/*.folded '^work;')" 90 100
	rm -r out root/etc/hostname
	profile -q -e cpu-clock -- "$made/contain" "$PWD/root" /opt/work
	within "$(folded_share out/*.folded '^work;')" 90 100
}

@test "a container is named by its engine's cgroup" {
	local id group
	id=$(printf '%064x' "$$")
	group=$(echo /sys/fs/cgroup{,/systemd,/unified}/cgroup.procs | tr ' ' '\n' | while read -r f; do
		[ ! -w "$f" ] || echo "${f%/*}"; done | head -n 1)
	mkdir "$group/docker-$id.scope" 2>why || skip "no cgroup can be made here: $(cat why)"
	cp "$made/inner-sha1" root/opt/work
	profile -q -e cpu-clock -- sh -c "echo 0 >$group/docker-$id.scope/cgroup.procs && exec \"\$@\"" \
		sh "$made/contain" "$PWD/root" /opt/work || status=$?
	rmdir "$group/docker-$id.scope"
	[ "${status:-0}" = 0 ]
	within "$(folded_share out/*.folded "^work \\\\(${id:0:12}\\\\);")" 90 100
}

# attach_inside NAME COMMAND...: to what COMMAND, which is unshare(1) in the end, has as its child called NAME.
attach_inside()
{
	local name=$1 pid
	shift
	"$@" 3>&- &
	until pid=$(tr -d ' ' <"/proc/$!/task/$!/children") && [ -n "$pid" ] &&
		grep -qx "$name" "/proc/$pid/comm"; do
		kill -0 $!
	done
	profile -q -F 1999 -e cpu-clock --duration 0.5 -p "$pid"
	kill -KILL "$pid"
	wait $! || true
}

@test "attached to a process inside: its files, by build id and by inode" {
	for id in sha1 none; do
		cp "$made/inner-$id" "root/opt/inside-$id"
		attach_inside "inside-$id" "$made/contain" "$PWD/root" "/opt/inside-$id" 3
		within "$(share cpu-clock inner_work)" 90 100
		rm -rf out
	done
}

@test "attached to a Python inside: frames and lines" {
	python_setup
	cat >busy.py <<-'END'
		def busy():
		    while True:
		        sum(range(10000))
		busy()
	END
	attach_inside python3 unshare --user --map-root-user --mount --pid --fork --kill-child \
		--mount-proc "$PYTHON" busy.py
	number '.notes[].text' | grep -q '^Python 3.* samples with Python frames' ||
		skip "no Python frames of running processes here: $(number '.notes[].text')"
	within "$(folded_share "$(echo out/*.folded)" ';<module> \\(busy.py:4\\);busy \\(busy.py:3\\)')" 95 100
}

@test "in a pid namespace the whole machine is what can be told, and one frame for the rest" {
	cp "$made/inner-sha1" inner
	cp "$made/outer-sha1" outer
	./outer 3 3>&- &
	unshare --mount --pid --fork --mount-proc "$PMUFLAME" -q --summary s.json -o out/ \
		--format folded -F 1999 -e cpu-clock -a -- ./inner 0.4 || skip "not permitted"
	kill $!
	wait $! || true
	within "$(folded_share out/*.folded '^inner;.*;inner_work')" 1 99
	within "$(folded_share out/*.folded '^\\[outside this pid namespace];\\[user code]')" 1 99
	[ "$(folded_share out/*.folded 'outer_work')" = 0.000 ]
	number '.notes[].text' | grep -q 'hostPID: true'
}

# doctor WORDS...: what doctor says to who is run by WORDS, in the container of $engine.
doctor()
{
	env container="$engine" "$@" "$PMUFLAME" doctor >found || [ $? = 1 ]
}

@test "doctor names the seccomp rule, the capability and the sysctl as the container's engine spells them" {
	local deny=${builddir:?}/tests/tools/deny_perf engine=podman flag
	for flag in "" -n; do
		doctor "$deny" $flag
		grep -q '^blocked  perf_event_open: a seccomp filter' found
		grep -q '^ *podman run --cap-add PERFMON --security-opt seccomp=unconfined' found
		run -1 grep 'docker run\|securityContext' found
		run -125 "$deny" $flag "$PMUFLAME" -e cpu-clock true
		[[ $output == *'a seccomp filter refuses perf_event_open'*'--cap-add PERFMON'* ]]
	done
	# A user without capabilities. The build tree may lie where others cannot go.
	install -m 755 "$PMUFLAME" "$BATS_FILE_TMPDIR/pmuflame"
	[ "$(id -u)" = 0 ] || skip "only root can give capabilities up"
	PMUFLAME="$BATS_FILE_TMPDIR/pmuflame"
	chmod 755 "$BATS_FILE_TMPDIR"
	engine=docker
	doctor setpriv --bounding-set=-all --inh-caps=-all --reuid=nobody --regid=nogroup --clear-groups
	grep -q '^ *docker run --cap-add PERFMON [.][.][.]' found || [ "$(cat /proc/sys/kernel/perf_event_paranoid)" -lt 2 ]
	grep -q '^ *docker run --cap-add SYS_PTRACE [.][.][.]' found
	grep -q '^ *docker run --cap-add BPF [.][.][.]' found
	run -1 grep '^ *sudo sysctl' found
	doctor env KUBERNETES_SERVICE_HOST=10.0.0.1 setpriv --bounding-set=-all --inh-caps=-all --reuid=nobody \
		--regid=nogroup --clear-groups
	grep -q '^ *Kubernetes: securityContext: {capabilities: {add: \[SYS_PTRACE\]}}' found
}

@test "doctor says what a pid namespace hides" {
	local engine=other
	doctor unshare --user --map-root-user --mount --pid --fork --mount-proc
	grep -q '^limit    pid namespace: ' found
	grep -q '^ *docker run --pid host' found
	grep -q '^ *Kubernetes: hostPID: true' found
	grep -q '^limit    capabilities: this is a user namespace' found || [ "$(cat /proc/sys/kernel/perf_event_paranoid)" -lt 2 ]
}
