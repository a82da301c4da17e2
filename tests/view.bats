#!/usr/bin/env bats
# pmuflame view: which browser gets the report, and what is said where none can.
bats_require_minimum_version 1.5.0

setup()
{
	PMUFLAME=${PMUFLAME:?}
	cd "$BATS_TEST_TMPDIR" || return
	unset BROWSER DISPLAY WAYLAND_DISPLAY SSH_CONNECTION SSH_TTY WSL_DISTRO_NAME SUDO_USER
	"${builddir:?}/tests/tools/svg_sample" counters html > "back test.html"
	mkdir bin
	for name in xdg-open firefox broken; do
		printf '#!/bin/sh\nprintf "%%s\\n" "%s:$1" >> "%s/opened"\n' "$name" "$PWD" > "bin/$name"
		chmod +x "bin/$name"
	done
	echo 'exit 3' >> bin/broken
	PATH=$PWD/bin:$PATH
}

@test "view: the desktop's browser gets the whole path" {
	DISPLAY=:0 run -0 "$PMUFLAME" view "back test.html"
	[ "$output" = "" ]
	[ "$(cat opened)" = "xdg-open:$PWD/back test.html" ]
}

@test "view: \$BROWSER is asked first, one after the other" {
	BROWSER=none:broken:firefox run -0 "$PMUFLAME" view "./back test.html"
	[ "$(cat opened)" = "broken:$PWD/back test.html
firefox:$PWD/back test.html" ]
}

@test "view: over ssh it says how to fetch the file" {
	SSH_CONNECTION='192.0.2.1 1 192.0.2.2 22' DISPLAY=:0 run -0 "$PMUFLAME" view "back test.html"
	[ ! -e opened ]
	[ "${lines[0]}" = "$PWD/back test.html" ]
	[[ "$output" == *"scp '$(id -un)@$(uname -n):$PWD/back test.html' ."* ]]
}

@test "view: without a display it says so" {
	run -0 "$PMUFLAME" view "back test.html"
	[ ! -e opened ]
	[[ "$output" == *"there is no display here"* ]]
}

@test "view: when nothing starts it says what was tried" {
	rm bin/xdg-open
	ln -s broken bin/xdg-open
	ln -s broken bin/wslview
	ln -s broken bin/x-www-browser
	DISPLAY=:0 BROWSER=broken run -0 "$PMUFLAME" view "back test.html"
	[[ "$output" == *"none of \$BROWSER, xdg-open"* ]]
}

@test "view: what is no page is refused in a sentence" {
	echo hello > text
	run -2 "$PMUFLAME" view text
	[[ "$output" == *"'text' is no HTML or SVG file"* ]]
	run -2 "$PMUFLAME" view missing.html
	[[ "$output" == *"cannot open 'missing.html': No such file"* ]]
	run -2 "$PMUFLAME" view
	[[ "$output" == *"takes one FILE"* ]]
	run -2 "$PMUFLAME" view --quick text
	[[ "$output" == *"does not know '--quick'"* ]]
	run -0 "$PMUFLAME" view --help
	[[ "$output" == "usage: pmuflame view FILE"* ]]
}
