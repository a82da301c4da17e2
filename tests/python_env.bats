#!/usr/bin/env bats
# Python in its environments: runners, servers, embedded, loaded late, below C's own calls.

bats_require_minimum_version 1.5.0
load live.bash

TOOLS=${builddir:?}/tests/tools
PYTHON=/usr/bin/python3
export PYTHONDONTWRITEBYTECODE=1

setup()
{
	python_setup
	cat >burn.py <<-'E'
		import time
		def burn(seconds=0.15):
		    end = time.process_time() + seconds
		    while time.process_time() < end: pass
	E
	export PYTHONPATH=$PWD
}

teardown()
{
	[ -z "${SERVER:-}" ] || kill "$SERVER" 2>/dev/null || :
}

# run_profiled COMMAND...: as profile, and what it prints is shown if it fails.
run_profiled()
{
	rm -rf out
	profile -q -F 1999 -e cpu-clock -- "$@" >printed 2>&1 || {
		cat printed
		return 1
	}
}

# burned MILLISECONDS STACK: so long did burn.py's function run below a stack that matches, give or take a third:
# a machine's host may stop it at any time.
burned()
{
	within "$(folded_share out/*.folded "$2.*;burn .burn.py:4[)]" |
		awk -v ns="$(weight out/*.folded)" '{ print $1 / 100 * ns / 1e6 }')" \
		"$(($1 * 2 / 3))" "$(($1 * 4 / 3))"
}

notes()
{
	number '.notes[].text'
}

@test "C's system and popen keep their promises, and there are Python frames below them" {
	run_profiled "$TOOLS/shells" "$PYTHON -c 'import burn; burn.burn()'"
	burned 300 '^python3;'
	run_profiled "$PYTHON" -c "import os; assert os.system('$PYTHON -c \"import burn; burn.burn()\"; exit 3') == 3 << 8"
	burned 150 '^python3;'
}

@test "an interpreter that is loaded late has frames, unless threads run already" {
	local library
	library=$(ldconfig -p | sed -n 's/.*libpython3\.[0-9]*\.so\.1\.0 .* => //p' | head -n 1)
	[ -n "$library" ] || skip "no library of Python is installed"
	run_profiled "$TOOLS/embed" "$library" 'import burn; burn.burn()'
	burned 150 '^embed;.*;PyRun_SimpleStringFlags;.*<module> .<string>:1[)]'
	[ "$(number .status)" = 0 ]
	run_profiled "$TOOLS/embed" "$library" 'import burn; burn.burn()' threads
	notes | grep 'without Python frames: CPython was loaded when the program had started threads'
}

@test "sub-interpreters stand on their callers" {
	local python found=
	cat >sub.py <<-'E'
		import threading
		try: import _interpreters as interpreters
		except ImportError: import _xxsubinterpreters as interpreters
		code = """
		import burn
		def outer(): sorted([1], key=lambda x: burn.burn())
		outer()
		"""
		def run(): interpreters.run_string(one, code)
		one = interpreters.create()
		run()
		thread = threading.Thread(target=run)
		thread.start()
		thread.join()
		interpreters.destroy(one)
	E
	for python in $(interpreters); do
		"$python" -c 'import sys; sys.exit(sys.version_info < (3, 12))' || continue
		echo "# $python"
		found=1
		run_profiled "$python" sub.py
		burned 150 ';<module> .sub.py:11[)];run .sub.py:9[)];.*;<module> .<s[a-z]*>:4[)];outer .<s[a-z]*>:3[)];.*outer.<locals>.<lambda>'
		burned 150 ';Thread.run .threading.py:[0-9]*[)];run .sub.py:9[)];.*;outer .<s[a-z]*>:3[)];.*outer.<locals>.<lambda>'
		within "$(notes | sed -n 's/.*, \([0-9.]*\)% of whose native frames agree.*/\1/p')" 97 100
	done
	[ -n "$found" ] || skip "no CPython from 3.12 is installed"
}

@test "multiprocessing by fork, spawn and forkserver" {
	cat >pool.py <<-'E'
		import burn, multiprocessing, sys
		def by_fork(): burn.burn()
		def by_spawn(): burn.burn()
		def by_forkserver(): burn.burn()
		if __name__ == "__main__":
		    for method in "fork", "spawn", "forkserver":
		        process = multiprocessing.get_context(method).Process(target=globals()["by_" + method])
		        process.start()
		        process.join()
		        assert process.exitcode == 0
	E
	run_profiled "$PYTHON" pool.py
	burned 150 ';by_fork .pool.py:2[)]'
	burned 150 ';by_spawn .pool.py:3[)]'
	burned 150 ';by_forkserver .pool.py:4[)]'
	within "$(number '.events[0] | (.weight + .unsampled) / .counted')" 0.99 1.01
}

@test "pytest with two workers" {
	"$PYTHON" -c 'import pytest, xdist' 2>/dev/null || skip "pytest or its xdist is not installed"
	printf 'import burn\ndef test_%s(): burn.burn()\n' one >test_burn.py
	printf 'def test_%s(): burn.burn()\n' two three >>test_burn.py
	run_profiled "$PYTHON" -m pytest -q -p no:cacheprovider -n 2 test_burn.py
	grep -q '^3 passed' printed
	burned 150 ';test_one .test_burn.py:2[)]'
	burned 450 ';test_[a-z]* .test_burn.py:[234][)]'
	[ -s out/test_burn.cpu-clock.svg ]
}

@test "a server that forks its workers before they are asked" {
	command -v gunicorn >/dev/null || skip "gunicorn is not installed"
	cat >app.py <<-'E'
		import burn
		def app(environ, start):
		    burn.burn(0.05)
		    start("200 OK", [])
		    return [b"answer"]
	E
	"$PMUFLAME" --summary s.json -o out/ --format folded -q -F 1999 -e cpu-clock -- gunicorn -w 2 \
		-b unix:socket -p pid app:app >printed 2>&1 3>&- &
	SERVER=$!
	local i
	for ((i = 0; i < 100; i++)); do
		[ ! -S socket ] || break
		sleep 0.1
	done
	for ((i = 0; i < 10; i++)); do
		"$PYTHON" -c 'import socket
s = socket.socket(socket.AF_UNIX)
s.connect("socket")
s.send(b"GET / HTTP/1.0\r\n\r\n")
assert s.makefile("rb").read().endswith(b"answer")'
	done
	kill -TERM "$(cat pid)"
	wait "$SERVER"
	cat printed
	burned 500 ';app .app.py:3[)]'
	[ -s out/app.cpu-clock.folded ]
}

@test "a notebook that is executed" {
	"$PYTHON" -c 'import nbconvert, ipykernel' 2>/dev/null || skip "nbconvert or ipykernel is not installed"
	jq -n '{nbformat: 4, nbformat_minor: 5, metadata: {kernelspec: {name: "python3", display_name: "Python 3"}},
		cells: [{id: "a", cell_type: "code", metadata: {}, outputs: [], execution_count: null,
			source: "import burn\nburn.burn()\nprint(6 * 7)"}]}' >book.ipynb
	run_profiled "$PYTHON" -m jupyter nbconvert --to notebook --execute --stdout book.ipynb
	grep -q '"42\\n"' printed
	burned 150 ';<module> .[0-9]*[.]py:2[)]'
}

@test "by uv run and by poetry run" {
	local found=
	if command -v uv >/dev/null; then
		found=1
		run_profiled uv run --offline --no-project --python "$PYTHON" python -c 'import burn; burn.burn()'
		burned 150 '^python'
	fi
	if command -v poetry >/dev/null; then
		found=1
		cat >pyproject.toml <<-'END'
			[tool.poetry]
			name = "x"
			version = "1"
			description = ""
			authors = []
			[tool.poetry.dependencies]
			python = ">=3.8"
		END
		run_profiled env POETRY_VIRTUALENVS_CREATE=false poetry run "$PYTHON" -c 'import burn; burn.burn()'
		burned 150 '^python'
	fi
	[ -n "$found" ] || skip "neither uv nor poetry is installed"
}
