#!/usr/bin/env bats
# shellcheck disable=SC2030,SC2031 # each test is a shell of its own
# -p, -t, -a, --cgroup, -C: what runs already. `obey` does as it is told; the command behind -- starts when all
# is attached, and tells it.

bats_require_minimum_version 1.5.0
load live.bash

setup()
{
	live_setup
	STARTED=()
	cat >order <<-'END'
		#!/bin/sh
		# order LINE...: have the server do each, and wait until it has.
		for line; do
			echo "$line" >&8
			read -r answer <&9
			[ "$answer" = done ]
		done
	END
	chmod +x order
}

teardown()
{
	exec 8>&- 9<&-
	[ ${#STARTED[@]} -eq 0 ] || kill "${STARTED[@]}" 2>why || true
}

# serve: a server, $SERVER, that takes orders.
serve()
{
	mkfifo in out.fifo
	obey <in >out.fifo &
	SERVER=$!
	STARTED+=("$!")
	exec 8>in 9<out.fifo
	./order 'first 0.01'
}

# attached PID: wait until the recorder in the background has events open.
attached()
{
	local i
	for ((i = 0; i < 500; i++)); do
		! find "/proc/$1/fd" -lname 'anon_inode:*perf_event*' 2>why | grep -q . || return 0
		sleep 0.02
	done
	echo "nothing was opened" >&2
	return 1
}

# clock EVENT NS: so much was counted, and what one that runs all the time could have at most; how much a machine's
# host stops it is in no account of the kernel's.
clock()
{
	within "$(counted "$1")" "$2" "$(number '.duration_ns + 100000000')"
}

# reconciled EVENT: samples and [unsampled] are the count.
reconciled()
{
	within "$(jq --arg e "$1" '.events[] | select(.event == $e) | (.weight + .unsampled) / .counted' s.json)" \
		0.999 1.001
}

counted()
{
	jq --arg e "$1" '.events[] | select(.event == $e) | .counted' s.json
}

@test "-p counts what happens from then on, and nothing before or after" {
	serve
	./order 'first 0.2' 'touch 3000'
	profile -e cpu-clock,page-faults@1 -p "$SERVER" -- ./order 'second 0.5' 'touch 1000' 2>err
	clock cpu-clock 500000000
	./order 'first 0.1'
	within "$(folded_share out/obey.cpu-clock.folded '^obey;.*;main;obey;second;wl_burn')" 90 100
	[ "$(folded_share out/obey.cpu-clock.folded ';first;')" = 0.000 ]
	within "$(counted page-faults)" 1000 1030
	reconciled cpu-clock
	reconciled page-faults
	grep -Eq "^pmuflame: attached to obey \(pid $SERVER, 1 thread\) for " err
	[ "$(number .watched)" = "attached to obey (pid $SERVER, 1 thread)" ]
	[ "$(number .command)" = "./order 'second 0.5' 'touch 1000'" ]
	grep -q "attached to obey (pid $SERVER, 1 thread)" out/obey.cpu-clock.svg
	gunzip -c out/obey.pb.gz | grep -aq "pmuflame watched attached to obey (pid $SERVER, 1 thread)"
}

@test "shares and stacks are those of the same program when it is started" {
	printf '%s\n' 'first 0.9' 'second 0.3' >lines
	profile -F 4999 -e cpu-clock -- obey <lines >answers
	cp out/obey.cpu-clock.folded launched
	serve
	profile -F 4999 -e cpu-clock -p "$SERVER" -- ./order 'first 0.9' 'second 0.3'
	# Of some 6000 samples each, 5 standard errors of a share are 3 points.
	for f in launched out/obey.cpu-clock.folded; do
		grep -E ';main;obey;(first|second);wl_burn' $f >both
		within "$(folded_share both ';first;')" 72 78
		grep -Eo '^obey;[^ ]*;(first|second);wl_burn[^; ]*' $f | sort -u >"stacks-${f##*.}"
	done
	diff -u stacks-launched stacks-folded
}

# live SLEEPERS: a server that has so many starts threads, children and another program.
live()
{
	./order "sleepers $1"
	set -- "$1" 'thread 0.2' 'threads 0.025' 'fork 0.2' "load 0.2 ${builddir:?}/tests/workloads/plugin.so" \
		exec 'second 0.2'
	profile -F 4999 -e cpu-clock -p "$SERVER" -- ./order "${@:2}"
	clock cpu-clock 1000000000
	folded=out/obey.cpu-clock.folded
	within "$(folded_share $folded '^obey;.*;in_thread;')" 34 44
	within "$(folded_share $folded '^obey;.*;main;obey;start_child;in_child;')" 15 24
	within "$(folded_share $folded ';main;obey;load;plugin_hot_loop')" 15 24
	within "$(folded_share $folded ';main;obey;second;')" 15 24
	reconciled cpu-clock
	run ! grep -Ev '^(obey|exe|\[unsampled\])[; ]' $folded
	number '.notes[].text' >notes
	./order "sleepers $1"
	profile -e cpu-clock --inherit no -p "$SERVER" -- ./order 'thread 0.1' 'fork 0.2' 'first 0.1'
	within "$(folded_share $folded ';in_thread;')" 30 65
	[ "$(folded_share $folded ';in_child;')" = 0.000 ]
	number '.notes[].text' >>notes
}

@test "new threads, children, code that is mapped later, another program" {
	serve
	live 0
	run ! grep 'timers of the CPUs' notes
}

@test "more threads than CPUs are sampled by timers of the CPUs, in the same shares, and nobody else is" {
	ratio --seconds 60 >ratio.out &
	STARTED+=("$!")
	serve
	live "$(nproc)"
	[ "$(grep -c "'cpu-clock' was sampled by timers of the CPUs" notes)" = 2 ]
	within "$(jq '.events[0] | .samples * 1e9 / 997 / .counted' s.json)" 0.6 1.4
	profile -F 4999 -e cpu-clock -p "$SERVER" -- ./order exec-in-thread 'first 0.3' 'thread 0.1'
	clock cpu-clock 400000000
	within "$(jq '.events[0] | .samples * 1e9 / 4999 / .counted' s.json)" 0.75 1.25
	./order "sleepers $(nproc)"
	profile --timers tasks -e cpu-clock -p "$SERVER" -- ./order 'first 0.1'
	run ! grep 'timers of the CPUs' <(number '.notes[].text')
	profile --timers cpus -e task-clock,page-faults@1 -p "$SERVER" -- ./order 'first 0.3' 'touch 100'
	clock task-clock 300000000
	[ "$(number '.notes[].text' | grep -c 'timers of the CPUs')" = 1 ]
	within "$(counted page-faults)" 100 130
	reconciled task-clock
	reconciled page-faults
	run -125 "$PMUFLAME" --timers cpus -a --duration 1
	[[ $output = *"--timers is for -p and -t"* ]]
	run -125 "$PMUFLAME" --timers cpus -e cpu-clock:u -p "$SERVER" --duration 1
	[[ $output = *"timers of the CPUs cannot sample 'cpu-clock:u'"* ]]
	run -125 "$PMUFLAME" --timers cpus --readers 2 -e cpu-clock -p "$SERVER" --duration 1
	[[ $output = *"leave '--readers 2' out"* ]]
	run -125 "$PMUFLAME" --timers cpus -e page-faults -p "$SERVER" --duration 1
	[[ $output = *"none is among the events"* ]]
	run -125 "$PMUFLAME" --timers cpus -e '{cpu-clock,page-faults}' -p "$SERVER" --duration 1
	[[ $output = *"take it out of the braces"* ]]
	run -125 "$PMUFLAME" --timers many -p "$SERVER"
	[[ $output = *"none of auto, tasks, cpus"* ]]
}

@test "processes that the target had started before are named" {
	[ -e /proc/$$/task/$$/children ] || skip "this kernel does not tell children (CONFIG_PROC_CHILDREN)"
	sh -c 'ratio --seconds 60 & ratio --seconds 60 & wait' >ratio.out &
	STARTED+=("$!")
	parent=$!
	until mapfile -t children < <(pgrep -P $parent) && [ ${#children[@]} = 2 ]; do sleep 0.02; done
	STARTED+=("${children[@]}")
	profile -e cpu-clock -p "$parent" --duration 0.1
	number '.notes[].text' | grep -q "^2 processes of sh had been .* are not recorded: '-p $parent,${children[0]},${children[1]}' names them"
	[ "$(counted cpu-clock)" = 0 ]
	profile -e cpu-clock -p "$parent,${children[0]}" --duration 0.1
	number '.notes[].text' | grep -q "^1 process of sh had .* is not recorded: '-p $parent,${children[1]}' names it"
	profile -e cpu-clock -p "$parent,${children[0]},${children[1]}" --duration 0.3
	run ! grep 'had been started' <(number '.notes[].text')
	within "$(folded_share out/sh-and-2.cpu-clock.folded '^ratio;')" 99 100
}

@test "threads that exist, and one of them alone with -t" {
	threads --threads 4 --seconds 20 >threads.out &
	STARTED+=("$!")
	pid=$!
	until [ "$(find /proc/$pid/task -maxdepth 1 -name '[0-9]*' | wc -l)" = 5 ]; do sleep 0.02; done
	profile --threads yes -e cpu-clock -p $pid --duration 0.5
	[ "$(cut -d';' -f2 out/threads.cpu-clock.folded | grep -c '^worker-[0-3] ([0-9]*)' || true)" -ge 4 ]
	for tid in "/proc/$pid/task"/*; do tid=${tid##*/}; done
	rm -r out
	before=$(cut -d' ' -f1 "/proc/$pid/task/$tid/schedstat")
	profile --threads yes -e cpu-clock -t "$tid" --duration 0.5
	after=$(cut -d' ' -f1 "/proc/$pid/task/$tid/schedstat")
	[ "$(folded_share out/threads.cpu-clock.folded "^threads;worker-[0-3] \\($tid\\);")" = 100.000 ]
	within "$(counted cpu-clock)" 10000000 $((after - before + 10000000))
	[ "$(number .watched)" = "attached to thread $tid ($(cat "/proc/$pid/task/$tid/comm")) of threads (pid $pid)" ]
}

@test "two at once, which end one after the other; their end is the recording's" {
	ln -s "$(command -v ratio)" one
	ln -s "$(command -v ratio)" two
	./one --seconds 0.4 &
	one=$!
	./two --seconds 0.8 &
	two=$!
	run -0 --separate-stderr profile -e cpu-clock -p "$one,$two"
	wait $one $two
	within "$(folded_share out/one-and-1.cpu-clock.folded '^one;')" 5 50
	within "$(folded_share out/one-and-1.cpu-clock.folded '^two;')" 50 95
	[ "$(number .watched)" = "attached to 2 processes (one $one, two $two)" ]
	number '.notes[].text' | grep -qx 'recording ended when all targets had'
	reconciled cpu-clock
}

@test "a signal ends the recording, with its profile, and never the target" {
	serve
	for signal in INT TERM; do
		"$PMUFLAME" -q -e cpu-clock -o "$signal" -p "$SERVER" &
		recorder=$!
		attached $recorder
		./order 'second 0.1'
		kill -s $signal $recorder
		wait $recorder
		[ -s $signal.cpu-clock.svg ]
		./order 'first 0.01'
	done
}

@test "a target that ends before, or is something else, is a sentence" {
	run -125 "$PMUFLAME" -e cpu-clock -p 2147483647
	[ "$output" = 'pmuflame: there is no process 2147483647 (any more)' ]
	run -125 "$PMUFLAME" -e cpu-clock -p 1,nginx
	[ "$output" = "pmuflame: -p 'nginx' is no number of a process: 'ps -e' shows them" ]
	run -125 "$PMUFLAME" -a -p 1
	[ "$output" = 'pmuflame: -p, -t, -a and --cgroup exclude each other: each says who is recorded' ]
	run -125 "$PMUFLAME" -e cpu-clock -p 1 --set n=1
	[ "$output" = 'pmuflame: --set n=1 has no command to say it to' ]
	run -125 "$PMUFLAME" -e cpu-clock --cgroup no/such/group
	[[ $output == "pmuflame: 'no/such/group' is no control group: "* ]]
	run -125 "$PMUFLAME" -e cpu-clock --cgroup /tmp
	[[ $output == "pmuflame: '/tmp' is no control group: "* ]]
	run -125 "$PMUFLAME" -e cpu-clock --cgroup ''
	[ "$output" = "pmuflame: --cgroup '' names no control group: -a records the whole machine" ]
	threads --threads 1 --seconds 5 >threads.out &
	STARTED+=("$!")
	pid=$!
	until [ "$(find /proc/$pid/task -maxdepth 1 -name '[0-9]*' | wc -l)" = 2 ]; do sleep 0.02; done
	for tid in "/proc/$pid/task"/*; do tid=${tid##*/}; done
	run -125 "$PMUFLAME" -e cpu-clock -p "$tid"
	[ "$output" = "pmuflame: $tid is a thread of process $pid (threads): '-p $pid' records all of that, '-t $tid' the thread alone" ]
}

@test "the command behind -- gives its status, and belongs to the target or not" {
	serve
	run -7 profile -e cpu-clock -p "$SERVER" -- sh -c './order "first 0.1"; ratio --seconds 0.2; exit 7'
	[ "$(folded_share out/obey.cpu-clock.folded '^obey;')" = 100.000 ]
	run -127 profile -q -e cpu-clock -p "$SERVER" -- no-such-command
	ln -s "$(command -v ratio)" here
	run -0 profile -e cpu-clock -a -- ./here --seconds 0.2
	within "$(folded_share out/system.cpu-clock.folded '^here;' |
		awk -v all="$(counted cpu-clock)" '{ print $1 / 100 * all }')" 180000000 280000000
	[[ $(number .watched) == "the whole machine ("* ]]
}

@test "--delay and --duration count from the attaching" {
	serve
	"$PMUFLAME" -q --summary s.json -o out/ --format folded -e cpu-clock -p "$SERVER" --delay 1.2 --duration 1.7 &
	recorder=$!
	attached $recorder
	./order 'first 0.01' 'second 1.5'
	wait $recorder
	[ "$(folded_share out/obey.cpu-clock.folded ';first;')" = 0.000 ]
	within "$(counted cpu-clock)" 20000000 510000000
	number '.notes[].text' | grep -q '^counting began 1\.[2-7][0-9]* s after the start (--delay)$'
}

@test "-a: each process's share is its CPU time, and page faults are the kernel's" {
	for name in one two three; do
		ln -s "$(command -v ratio)" $name
		./$name --seconds 30 &
		STARTED+=("$!")
	done
	cat >look <<-'END'
		# look FILE: faults, and the CPU time of each process; without any of its own between the two.
		look()
		{
			for pid in $PIDS; do
				read -r name <"/proc/$pid/comm"
				read -r ns rest <"/proc/$pid/schedstat"
				echo "$name $ns"
			done
			while read -r name n; do
				[ "$name" != pgfault ] || echo "$name $n"
			done </proc/vmstat
		} >"$1"
	END
	serve
	export PIDS="${STARTED[*]}"
	# shellcheck source=/dev/null
	. ./look
	look 1
	profile -e cpu-clock,page-faults -a -- \
		sh -c '. ./look; look 2; ./order "touch 400000"; sleep 1; look 3'
	look 4
	# What happened while it counted is between what did from 2 to 3, and from 1 to 4.
	paste 1 2 3 4 | awk '{ printf "%s %.0f %.0f\n", $1, $6 - $4, $8 - $2 }' >growth
	# [unsampled] may have been anyone's.
	total=$(counted cpu-clock)
	unsampled=$(number '.events[] | select(.event == "cpu-clock") | .unsampled')
	while read -r name least most; do
		ours=$(weight out/system.cpu-clock.folded "^$name;")
		if [ "$name" = pgfault ]; then
			# The kernel counts in vmstat alone what it touches for others: stacks at execve(2).
			within "$(counted page-faults)" "$((least - least / 100 - (least - 400000) / 10))" \
				"$((most + most / 100))"
		else
			within "$ours" "$((least - total / 50 - unsampled))" "$((most + total / 50))"
		fi
	done <growth
	[ "$(wc -l <growth)" = 5 ]
	reconciled cpu-clock
	reconciled page-faults
	run -1 grep -q '^swapper;' out/system.cpu-clock.folded
}

@test "-C: only what runs on these CPUs" {
	taskset -c 0 true 2>why && taskset -c 1 true 2>why || skip "there are no two CPUs: $(cat why)"
	ln -s "$(command -v ratio)" on0
	ln -s "$(command -v ratio)" on1
	taskset -c 0 ./on0 --seconds 10 &
	STARTED+=("$!")
	taskset -c 1 ./on1 --seconds 10 &
	STARTED+=("$!")
	profile -e cpu-clock -a -C 1 --duration 0.5
	grep -q '^on1;' out/system.cpu-clock.folded
	run -1 grep -q '^on0;' out/system.cpu-clock.folded
	within "$(counted cpu-clock)" 10000000 600000000
	[[ $(number .watched) == *", on CPU 1" ]]
	profile -e cpu-clock -C 1 -- sh -c 'taskset -c 0 ./on0 --seconds 0.1; taskset -c 1 ./on1 --seconds 0.1'
	grep -q '^on1;' out/sh.cpu-clock.folded
	run -1 grep -q '^on0;' out/sh.cpu-clock.folded
	number '.notes[].text' | grep -qx 'only what ran on these CPUs was counted: 1 (-C)'
}

@test "--cgroup: who is in it, and in the groups below it" {
	root=$(awk '$3 == "cgroup2" { print $2; exit }' /proc/self/mounts)
	group=pmuflame-bats-$$
	mkdir -p "$root/$group/below" 2>why || skip "no control group can be made: $(cat why)"
	ln -s "$(command -v ratio)" outside
	./outside --seconds 10 &
	STARTED+=("$!")
	serve
	echo "$SERVER" >"$root/$group/below/cgroup.procs"
	profile -q -e cpu-clock --cgroup "/$group/" -- ./order 'first 0.3' 2>err || status=$?
	kill "$SERVER"
	while ! rmdir "$root/$group/below" "$root/$group" 2>why; do sleep 0.1; done
	[ -z "${status:-}" ] || skip "no events of control groups: $(cat err)"
	within "$(folded_share "out/$group.cpu-clock.folded" '^obey;.*;main;obey;first;wl_burn')" 90 100
	clock cpu-clock 290000000
	[ "$(number .watched)" = "control group $root/$group/" ]
}

@test "--cgroup /: the idle time of CPUs is left out, as it is with -a" {
	[ "$(readlink /proc/self/ns/pid)" = 'pid:[4026531836]' ] || skip "the idle task cannot be told from here"
	printf 'awk -v hz=%d %s /proc/stat\n' "$(getconf CLK_TCK)" \
		"'\$1 == \"cpu\" { printf \"%.0f\", (\$5 + \$6) * 1e9 / hz }'" >idle
	profile -q -e cpu-clock --cgroup / -- sh -c 'sh idle >before; sleep 1; sh idle >after' 2>err ||
		skip "no events of control groups: $(cat err)"
	reconciled cpu-clock
	within "$(counted cpu-clock)" 0 "$(number ".duration_ns * $(getconf _NPROCESSORS_ONLN) - ($(cat after) - $(cat before)) + 100000000")"
}

@test "the recorder comes first, and preempts nobody while there is an idle CPU" {
	[ "$(id -u)" -eq 0 ] || skip "needs root"
	serve
	"$PMUFLAME" -q -e cpu-clock -o out/ --format folded -p "$SERVER" &
	recorder=$!
	attached $recorder
	# Nice value and policy, proc(5): 0 is SCHED_OTHER.
	[ "$(cut -d' ' -f19,41 "/proc/$recorder/stat")" = "-20 0" ]
	kill -INT $recorder
	wait $recorder
}

@test "perf reads the recording beside it" {
	command -v perf || skip "perf is not installed"
	serve
	profile -F 1999 --raw r.data -e cpu-clock -p "$SERVER" -- ./order 'first 0.3' 'fork 0.1'
	perf script -i r.data -F comm,period,ip,sym 2>why >stacks
	[ ! -s why ]
	[ "$(grep -c '^obey ' stacks)" = "$(number '.events[0].samples')" ]
	within "$(grep -c ' first$' stacks)" "$(number '.events[0].samples * 0.6')" "$(number '.events[0].samples * 0.85')"
	perf report -i r.data --stdio --no-children -g none --sort comm,dso,symbol | grep -q ' obey .* obey .* wl_burn'
}

@test "generated code has the names that its runtime wrote before; Node.js without them is a warning" {
	command -v node >/dev/null || skip "Node.js is not installed"
	cat >busy.js <<-'END'
		function busy(n) { let s = 0; for (let i = 0; i < n; i++) s = (s * 31 + i) % 1000003; return s; }
		for (const end = Date.now() + 500; Date.now() < end;) busy(20000); // until it is compiled
		console.log("ready");
		for (const end = Date.now() + 20000; Date.now() < end;) busy(20000);
	END
	for names in --perf-basic-prof ''; do
		: >ready
		node ${names:+"$names" --interpreted-frames-native-stack} busy.js >ready &
		node=$!
		STARTED+=("$node")
		until grep -q ready ready; do sleep 0.05; done
		profile -q --python no -e cpu-clock -p $node --duration 0.4
		kill $node
		[ -n "$names" ] || break
		[ -e "/tmp/perf-$node.map" ] # it is not ours to remove
		rm -f "/tmp/perf-$node.map"
		within "$(folded_share out/busy.cpu-clock.folded '^node;.* \(busy\.js\)|^node;.*busy \(')" 80 100
		[ "$(number '.notes[].text' | grep -c 'functions of Node.js')" = 0 ]
	done
	[ "$(folded_share out/busy.cpu-clock.folded 'busy \(')" = 0.000 ]
	number '.notes[].text' | grep -q '^functions of Node.js have no names where it was not started with --perf-basic-prof'
}

@test "an ordinary user may watch processes of their own, and others' are a sentence" {
	[ "$(id -u)" -eq 0 ] || skip "only root can become another user"
	DIR=$(mktemp -d /tmp/pmuflame-bats.XXXXXX)
	chown nobody "$DIR"
	install -m 755 "$PMUFLAME" "${builddir:?}"/tests/workloads/ratio "$DIR"
	cd "$DIR"
	as_nobody=(setpriv --reuid=nobody --regid=nogroup --clear-groups env -u SUDO_UID -u SUDO_GID HOME="$DIR")
	"${as_nobody[@]}" ./ratio --seconds 5 &
	STARTED+=("$!")
	pid=$!
	until grep -qx ratio "/proc/$pid/comm"; do sleep 0.02; done
	run -0 "${as_nobody[@]}" ./pmuflame -e cpu-clock -p $pid --duration 0.3
	[[ $output == *"attached to ratio (pid $pid, 1 thread) for "* ]]
	if [ "$(cat /proc/sys/kernel/perf_event_paranoid)" -gt 0 ]; then
		run -125 "${as_nobody[@]}" ./pmuflame --timers cpus -e cpu-clock -p $pid
		[[ $output == *"cannot count on whole CPUs"*"kernel.perf_event_paranoid=0"* ]]
	fi
	run -125 "${as_nobody[@]}" ./pmuflame -e cpu-clock -p $$
	cd "$BATS_TEST_TMPDIR"
	rm -rf "$DIR"
	[ "$(wc -l <<<"$output")" -eq 1 ]
}
