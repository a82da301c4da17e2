# shellcheck shell=bash
# A server of 64 threads from Debian, and clients, for tests/attach-load.bats and scripts/serve-load: Apache with
# its event module, which compresses a page for each request, in one process, on a free port of the loopback.

serve_program=/usr/sbin/apache2
serve_modules=/usr/lib/apache2/modules

# serve_prepare DIR: its files. Who is root serves as nobody, to whom DIR is opened.
serve_prepare()
{
	local dir=$1 name
	serve_dir=$dir
	mkdir -p "$dir/www"
	awk 'BEGIN { for (i = 0; i < 1500; i++) print i, "the quick brown fox", i * 7919 % 104729 }' >"$dir/www/page.txt"
	chmod 755 "$dir" "$dir/www"
	serve_port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
	{
		for name in mpm_event authz_core filter deflate mime; do
			echo "LoadModule ${name}_module $serve_modules/mod_$name.so"
		done
		[ "$(id -u)" -ne 0 ] || printf 'User nobody\nGroup nogroup\n'
		cat <<-END
			ServerRoot $dir
			ServerName localhost
			Listen 127.0.0.1:$serve_port
			PidFile $dir/pid
			ErrorLog $dir/error.log
			DocumentRoot $dir/www
			TypesConfig /dev/null
			AddType text/plain .txt
			AddOutputFilterByType DEFLATE text/plain
			StartServers 1
			ServerLimit 1
			ThreadsPerChild 64
			MaxRequestWorkers 64
			MinSpareThreads 1
			MaxSpareThreads 64
			MaxKeepAliveRequests 0
		END
	} >"$dir/httpd.conf"
}

# serve_start [COMMAND...]: the server, below COMMAND; serve_pid is who serves. False if it does not start.
serve_start()
{
	"$@" "$serve_program" -f "$serve_dir/httpd.conf" -DFOREGROUND >"$serve_dir/out" 2>&1 3>&- &
	serve_job=$!
	for _ in $(seq 200); do
		sleep 0.05
		if [ -s "$serve_dir/pid" ] && serve_pid=$(pgrep -n -P "$(cat "$serve_dir/pid")") &&
			[ "$(find "/proc/$serve_pid/task" -maxdepth 1 2>/dev/null | wc -l)" -gt 65 ]; then
			return
		fi
		kill -0 "$serve_job" 2>/dev/null || break
	done
	cat "$serve_dir/out" "$serve_dir/error.log" >&2
	return 1
}

serve_stop()
{
	kill "$(cat "$serve_dir/pid")"
	wait "$serve_job" || true
}

# serve_load SECONDS [OPTIONS...]: ask for the page by 16 connections all the time, or as OPTIONS of h2load(1) say;
# what that says of it.
serve_load()
{
	h2load --h1 -D "$1" -c 16 -H 'Accept-Encoding: gzip' "${@:2}" "http://127.0.0.1:$serve_port/page.txt" 3>&-
}

# serve_worked FILE: by what h2load said there, every request was answered.
serve_worked()
{
	grep -E '^requests: [1-9].* succeeded, 0 failed, 0 errored, 0 timeout' "$1" >/dev/null &&
		! grep -E '^status codes: .*[1-9][0-9]* [45]xx' "$1" >&2
}

# serve_compare MINE THEIRS: of functions above 2 % in one of two summaries, the most that their shares of cpu-clock
# differ by beyond what chance explains (five standard errors), in points.
serve_compare()
{
	jq -n --slurpfile a "$1" --slurpfile b "$2" '
		def shares: .[0].events[0].functions | (map(.self) | add) as $all |
			map({key: "\(.name) \(.module)", value: (.self / $all)}) | from_entries;
		($a | shares) as $x | ($b | shares) as $y |
		(1 / $a[0].events[0].samples + 1 / $b[0].events[0].samples) as $few |
		[($x + $y | keys[]) | [$x[.] // 0, $y[.] // 0] | select(max > 0.02) |
			100 * ((.[0] - .[1] | fabs) - 5 * (max * (1 - max) * $few | sqrt))] | max'
}
