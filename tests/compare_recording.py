#!/usr/bin/python3
"""Hold the flame graph of a recording to what perf script says of the same recording.

Usage: compare_recording.py [--points P] EVENT PROGRAM FOLDED SCRIPT

FOLDED is pmuflame's, SCRIPT `perf script --no-inline --no-demangle -F event,period,ip,sym,dso | c++filt`.
Compared are the weight of all samples and of those in the kernel, which must be equal (but for samples
without callers, whose one address perf script keeps to itself), and the shares of
every function of PROGRAM's own file, as leaf and anywhere in the stack, to P points (0.01). Functions
of other files are not compared by name: several names of one address differ by taste.
"""

import argparse
import collections
import os
import re
import sys

# The blank behind the colon tells it from a frame at an address of decimal digits: "2448 std::move (...)".
PERF_HEAD = re.compile(r"\s+(\d+)\s+(\S+):(?:\s+(\S.*)?)?$")
PERF_FRAME = re.compile(r"\s*[0-9a-f]+ (.*) \((.*)\)$")

Costs = collections.namedtuple("Costs", "total kernel bare own inclusive")


def new_costs():
    return Costs(*(collections.Counter() for _ in Costs._fields))


def add(costs, weight, frames, in_kernel):
    """@frames: names, innermost first."""
    costs.total["all"] += weight
    costs.kernel["all"] += weight if in_kernel else 0
    if frames:
        costs.own[frames[0]] += weight
    else:
        costs.bare["all"] += weight
    for name in set(frames):
        costs.inclusive[name] += weight


def read_folded(path):
    costs = new_costs()
    with open(path, encoding="utf-8") as f:
        for line in f:
            stack, weight = line.rstrip("\n").rsplit(" ", 1)
            frames = stack.split(";")[:0:-1]
            while frames and re.match(r"\[(truncated|broken) stack\]$", frames[0]):
                frames.pop(0)
            add(costs, int(weight), frames, bool(frames) and frames[0].endswith("_[k]"))
    return costs


def read_script(path, event, program):
    costs, names = new_costs(), set()
    weight, frames = None, []

    def sample_ends():
        if weight is not None:
            dso = frames[0][1] if frames else ""
            in_kernel = dso.startswith("[") and dso not in ("[vdso]", "[unknown]", "[heap]", "[stack]")
            add(costs, weight, [name for name, _ in frames], in_kernel)
            names.update(n for n, d in frames if os.path.basename(d) == program and n != "[unknown]")

    with open(path, encoding="utf-8") as f:
        for line in f:
            head = PERF_HEAD.match(line)
            frame = PERF_FRAME.match((head.group(3) or "") if head else line)
            if head:
                sample_ends()
                weight, frames = None, []
                if head.group(2) == event:
                    weight = int(head.group(1))
            if frame:
                frames.append((re.sub(r"(?<=.)@@?[A-Z].*", "", frame.group(1)), frame.group(2)))
    sample_ends()
    return costs, names


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--points", type=float, default=0.01)
    for name in ("event", "program", "folded", "script"):
        parser.add_argument(name)
    args = parser.parse_args()
    own = read_folded(args.folded)
    perf, names = read_script(args.script, args.event, args.program)
    wrong = 0

    for what, slack in (("total", 0), ("kernel", perf.bare["all"])):
        a, b = getattr(own, what)["all"], getattr(perf, what)["all"]
        print(f"{what}: {a}, perf {b}")
        wrong += not b <= a <= b + slack
    # The dynamic linker's first function is called so, too, where perf takes the one behind it.
    names.discard("_start")
    total = perf.total["all"] or 1
    for what in ("own", "inclusive"):
        for name in sorted(names):
            a, b = (100 * getattr(x, what)[name] / total for x in (own, perf))
            if abs(a - b) > args.points:
                print(f"{what}: {name} has {a:.3f} %, by perf {b:.3f} %")
                wrong += 1
    print(f"{len(names)} functions of {args.program}")
    sys.exit(wrong > 0 or not names)


if __name__ == "__main__":
    main()
