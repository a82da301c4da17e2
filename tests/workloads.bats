#!/usr/bin/env bats
# The programs that other tests profile do what those tests rely on.

setup()
{
	cd "${builddir:?}/tests/workloads" || return
}

# value NAME: what stands behind NAME in $output.
value()
{
	sed -n "s/^$1  *\([^ ]*\).*/\1/p" <<<"$output"
}

@test "backtest: the same seed gives the same trades, another one does not" {
	run ./backtest --bars 3000 --seed 7
	[ "$status" -eq 0 ]
	[ "$(value bars)" = 3000 ]
	[ "$(value fills)" -gt 0 ]
	[ "$(value speed)" -gt 0 ]
	first=$(grep -v speed <<<"$output")
	run ./backtest --bars 3000 --seed 7
	[ "$(grep -v speed <<<"$output")" = "$first" ]
	run ./backtest --bars 3000 --seed 8
	[ "$(grep -v speed <<<"$output")" != "$first" ]
}

@test "signal: every bar gets one signal" {
	run ./signal --bars 2000
	[ "$status" -eq 0 ]
	[ "$(($(value buy) + $(value sell) + $(value hold)))" -eq 2000 ]
	[ "$(value buy)" -gt 0 ]
	[[ $(value 'seconds per bar') == *e-* ]]
}

@test "dataframe: both orders give the same sum" {
	run ./dataframe --rows 50 --cols 70 --passes 2
	[ "$status" -eq 0 ]
	[ "$(value 'by rows')" -gt 0 ]
	[ "$(value 'by rows')" = "$(value 'by columns')" ]
	both=$(value 'by rows')
	for one in rows columns; do
		run ./dataframe "$one" --rows 50 --cols 70
		[ "$status" -eq 0 ]
		[ "$(value "by $one")" = "$both" ]
		[ "$(grep -c '^by ' <<<"$output")" = 1 ]
	done
}

@test "deep: about 60 real frames, which CFI alone can walk" {
	run ./deep --seconds 0.01
	[ "$status" -eq 0 ]
	[ "$(value frames)" -ge 55 ]
	[ "$(value frames)" -le 75 ]
}

@test "ratio: runs the rounds that were asked for, and --seconds ends" {
	run ./ratio --rounds 20
	[ "$status" -eq 0 ]
	[ "$(value rounds)" = 20 ]
	run ./ratio --seconds 0.05
	[ "$status" -eq 0 ]
	[ "$(value rounds)" -gt 1 ]
}

@test "threads: long-lived and short-lived ones" {
	run ./threads --threads 8 --seconds 0.05
	[ "$status" -eq 0 ]
	[ "$(value threads)" = 8 ]
	run ./threads --short-lived 30
	[ "$status" -eq 0 ]
	[ "$(value threads)" = 30 ]
	# 30 threads of 0.2 ms each.
	awk -v cpu="$(value 'CPU time')" 'BEGIN { exit !(cpu >= 0.006) }'
}

@test "tree: forks and execs the whole tree, and a storm of children" {
	run ./tree --depth 2 --fanout 3
	[ "$status" -eq 0 ]
	[ "$(value processes)" = 13 ]
	run ./tree --storm 20
	[ "$status" -eq 0 ]
	[ "$(value processes)" = 21 ]
	run ./tree --depth 6 --fanout 16
	[ "$status" -eq 2 ]
}

@test "edge: exec of itself goes on to the end" {
	run ./edge exec-self --seconds 0.01
	[ "$status" -eq 0 ]
	[ "$output" = executed ]
}

@test "edge: the plugin is loaded, run and unloaded" {
	run ./edge dlopen --times 5 --seconds 0.02
	[ "$status" -eq 0 ]
	[ "$output" = "loaded 5 times" ]
}

@test "edge: ends by the signals that it says" {
	run ./edge self-kill --seconds 0.01
	[ "$status" -eq 137 ]
	run ./edge segv --seconds 0.01
	[ "$status" -eq 139 ]
}

@test "edge: quick-exit says nothing" {
	run ./edge quick-exit
	[ "$status" -eq 0 ]
	[ -z "$output" ]
}

@test "edge: delete-self removes the copy, never the original" {
	run ./edge delete-self
	[ "$status" -eq 2 ]
	[ -x ./edge ]
	cp ./edge "$BATS_TEST_TMPDIR/copy"
	run "$BATS_TEST_TMPDIR/copy" delete-self --seconds 0.01
	[ "$status" -eq 0 ]
	[ ! -e "$BATS_TEST_TMPDIR/copy" ]
}

@test "edge: the daemon outlives its parent" {
	run ./edge daemonise --seconds 1
	[ "$status" -eq 0 ]
	pid=$(value daemon)
	[ "$(cat "/proc/$pid/comm")" = edge ]
	kill "$pid"
}

@test "edge: SIGTERM does not end sigterm-ignore" {
	./edge sigterm-ignore --seconds 0.3 >"$BATS_TEST_TMPDIR/out" 3>&- &
	until [ -s "$BATS_TEST_TMPDIR/out" ]; do
		sleep 0.02
	done
	kill -TERM $!
	wait $!
}

@test "edge: output goes to stdout, line by line" {
	[ "$(./edge output --times 3 --seconds 0 2>/dev/null)" = $'line 1\nline 2\nline 3' ]
}

@test "edge: fresh memory faults once a page" {
	run ./edge faults --mib 4
	[ "$status" -eq 0 ]
	[ "$(value pages)" -eq 1024 ]
	[ "$(value faults)" -ge 1024 ]
}

@test "edge: waits switch at least once a round" {
	run ./edge waits --times 10
	[ "$status" -eq 0 ]
	[ "$(value switches)" -ge 10 ]
}

@test "edge: big stacks and handlers on their own stack run to the end" {
	run ./edge big-stack --seconds 0.01
	[ "$status" -eq 0 ]
	run ./edge altstack --times 3 --seconds 0.01
	[ "$status" -eq 0 ]
	[ "$output" = "handled 3 signals" ]
	run ./edge jit --times 3 --seconds 0.01
	[ "$status" -eq 0 ]
	[ "$output" = generated ]
}

@test "wrong arguments are named, with status 2" {
	for command in 'backtest --bars 0' 'backtest --bars' 'signal --bars -1' 'dataframe 7' \
		'deep --seconds 1x' 'ratio --seconds nan' 'ratio --rounds 99999999999999999999' \
		'threads --threads 0' 'tree --fanout 17' 'edge' 'edge unknown' 'edge dlopen --bars 1'; do
		read -ra words <<<"$command"
		run "./${words[0]}" "${words[@]:1}"
		[ "$status" -eq 2 ]
		[ -n "$output" ]
	done
}
