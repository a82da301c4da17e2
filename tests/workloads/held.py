#!/usr/bin/python3
"""Wait for a line on standard input, then run a script: held.py SCRIPT [ARG...]

So that somebody can attach before the script does anything; "held" is printed when it waits."""

import runpy
import sys

sys.argv.pop(0)
print("held", flush=True)
sys.stdin.readline()
runpy.run_path(sys.argv[0], run_name="__main__")
