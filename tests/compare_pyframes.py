#!/usr/bin/python3
"""Are the Python parts of the stacks that end in touch() what the interpreter said?
compare_pyframes.py EXPECTED FOLDED"""

import collections
import re
import sys

PYTHON = re.compile(r" \([^()]*\.py(?:[^()]*)?:\d+\)$| \(<[^()]*>:\d+\)$")
LEAF = re.compile(r"^touch \(pyframes\.py:\d+\)$")


def read(path):
    stacks = collections.Counter()
    with open(path, encoding="utf-8") as lines:
        for line in lines:
            stack, count = line.rstrip("\n").rsplit(" ", 1)
            stacks[stack] += int(count)
    return stacks


expected = read(sys.argv[1])
leaves = {stack.rsplit(";", 1)[-1] for stack in expected}
seen = collections.Counter()
for stack, count in read(sys.argv[2]).items():
    frames = [f for f in stack.split(";") if PYTHON.search(f)]
    # The touching line alone: other lines of touch() take faults of the allocator's.
    if frames and LEAF.match(frames[-1]) and frames[-1] in leaves:
        seen[";".join(frames)] += count
missing = expected - seen
# The line may fault on another page, too (of its thread's stack, say): that stack is a true one.
invented = collections.Counter({s: n for s, n in seen.items() if s not in expected})
extra = sum((seen - expected).values()) - sum(invented.values())
for name, stacks in ("missing", missing), ("invented", invented):
    for stack, count in stacks.most_common(5):
        print(f"{name} {count}: {stack}", file=sys.stderr)
print(f"{sum(expected.values())} touches, {sum(missing.values())} missing, "
      f"{sum(invented.values())} invented, {extra} other faults")
sys.exit(bool(missing or invented or extra > sum(expected.values()) / 50))
