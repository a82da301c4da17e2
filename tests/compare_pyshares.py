#!/usr/bin/python3
"""Are the shares of pyshares.py's functions what it measured? compare_pyshares.py POINTS RESULT
FOLDED SOURCE"""

import collections
import sys

points = float(sys.argv[1])
with open(sys.argv[2], encoding="utf-8") as lines:
    spent = {name: int(ns) for name, ns in map(str.split, lines)}
with open(sys.argv[4], encoding="utf-8") as lines:
    parts = {line.split("# ")[1].strip(): n for n, line in enumerate(lines, 1)
             if line.endswith("part\n") or line.endswith("parts\n")}
seen = collections.Counter()
by_line = collections.Counter()
with open(sys.argv[3], encoding="utf-8") as lines:
    for line in lines:
        stack, count = line.rsplit(" ", 1)
        frames = stack.split(";")
        for i, frame in enumerate(frames):
            name = frame.split(" (pyshares.py:")[0]
            # Called by measured(), which measured it.
            if name in spent and name != frame and \
                    any(f.startswith("measured (pyshares.py:") for f in frames[:i]):
                seen[name] += int(count)
                if name == "two_lines":
                    by_line[int(frame.rsplit(":", 1)[1].rstrip(")"))] += int(count)
                break
bad = False
for name in spent:
    want = 100 * spent[name] / sum(spent.values())
    got = 100 * seen[name] / max(sum(seen.values()), 1)
    print(f"{name:15} {want:6.2f} % measured, {got:6.2f} % seen")
    bad |= abs(want - got) > points
one, three = by_line[parts["one part"]], by_line[parts["three parts"]]
print(f"lines of two_lines: {100 * three / max(one + three, 1):.2f} % in the second, 75 expected")
# Its samples are a part of all: five standard errors of their own.
bad |= not one or abs(three / (one + three) - 0.75) > max(points / 100, 0.06)
sys.exit(bad)
