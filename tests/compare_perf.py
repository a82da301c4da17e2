#!/usr/bin/python3
"""Hold a profile by pmuflame to perf's of the same program.

Usage: compare_perf.py [--points P] [--inclusive NAME]... [--cold NAME]... COMM SUMMARY FOLDED SCRIPT

SUMMARY and FOLDED are pmuflame's (--summary, --format folded) of a run of one event; SCRIPT is
`perf script --no-demangle -F comm,ip,sym,dso | c++filt` of a run with the same rate. Compared are
  self       each sample's leaf by name and module: the top 20 of either side;
  inclusive  functions by name, over the samples whose stack reaches the root, each function once a
             sample: the top 40 of either side, and every --inclusive NAME, which both must have.
A --cold NAME is left out of both: a function whose cold part stands elsewhere and has no symbol of its own
in a stripped file. We name it after its function, perf leaves it [unknown].
Shares are of what was sampled. The exit status is 1 if a share differs by more than P points, or if
the runs are too short for that to mean anything: P points must be 4 standard errors.

The two print the same function differently in these ways, which are made alike:
  module     perf prints a path, we its last part; perf's [kernel.kallsyms] is our [kernel];
  no symbol  perf prints [unknown], we the module and where in it: both count per module;
  versions   perf keeps name@GLIBC_2.15 of a versioned symbol; name@plt stays;
  aliases    names of one address differ by taste: ALIASES below.
Demangled names need nothing: c++filt writes them as pmuflame does. Suffixes such as .isra.0 and
.cold are kept by both.
"""

import argparse
import collections
import json
import math
import os
import re
import sys

SELF_TOP, INCLUSIVE_TOP = 20, 40
ROOTS = {"_start", "_dl_start_user", "__clone3", "clone3", "__clone", "clone", "ret_from_fork_asm"}
ALIASES = {"clone3": "__clone3", "clone": "__clone"}
OWN_MARK = re.compile(r"\[(truncated|broken) stack\]$")
OWN_UNNAMED = re.compile(r"\[(.+)\+0x[0-9a-f]+\]$")
OWN_KIND = re.compile(r"_\[[kij]\]$")
PERF_FRAME = re.compile(r"\s+[0-9a-f]+ (.*) \((.*)\)$")

Profile = collections.namedtuple("Profile", "samples self rooted inclusive")


def plain(name):
    if not name.endswith("@plt"):
        name = re.sub(r"(?<=.)@.*", "", name)
    return ALIASES.get(name, name)


def perf_module(dso):
    dso = dso.removesuffix(" (deleted)")
    if dso.startswith("[kernel.kallsyms]"):
        return "[kernel]"
    return dso if dso.startswith("[") else os.path.basename(dso)


def perf_stacks(lines):
    """Each sample's frames, (name, module), innermost first."""
    stack = []
    for line in lines:
        frame = PERF_FRAME.match(line)
        if frame:
            module = perf_module(frame[2])
            # Without a symbol, the name begins with the word; an offset may follow.
            unnamed = frame[1].startswith("[unknown]")
            stack.append((f"[{module}]" if unnamed else plain(frame[1]), module))
        elif stack:
            yield stack
            stack = []
    if stack:
        yield stack


def read_perf(path):
    leaves, inclusive = collections.Counter(), collections.Counter()
    samples = rooted = 0
    with open(path, encoding="utf-8", errors="replace") as lines:
        for stack in perf_stacks(lines):
            samples += 1
            leaves[stack[0]] += 1
            if stack[-1][0] in ROOTS:
                rooted += 1
                inclusive.update({name for name, _ in stack})
    if not rooted:
        sys.exit(f"{path} has no stack that reaches the root")
    return Profile(samples, shares(leaves, samples), rooted, shares(inclusive, rooted))


def own_frame(text, modules):
    unnamed = OWN_UNNAMED.match(text)
    if unnamed:
        return f"[{unnamed[1]}]", unnamed[1]
    name = plain(OWN_KIND.sub("", text))
    return name, modules.get(name, "")


def shares(weights, whole):
    return {key: 100 * weight / whole for key, weight in weights.items()}


def read_own(summary, folded, comm):
    with open(summary, encoding="utf-8") as file:
        event = json.load(file)["events"][0]
    modules = {}
    for function in event["functions"]:
        modules.setdefault(plain(function["name"]), function["module"])
    leaves, inclusive = collections.Counter(), collections.Counter()
    whole = rooted = 0
    with open(folded, encoding="utf-8", errors="replace") as lines:
        for line in lines:
            frames, weight = line.rsplit(" ", 1)
            weight = int(weight)
            stack = [own_frame(frame, modules) for frame in frames.split(";")]
            if stack[0][0] != comm or stack[-1][0] == "[unsampled]":
                continue
            whole += weight
            leaves[stack[-1]] += weight
            if not OWN_MARK.match(stack[1][0]):
                rooted += weight
                inclusive.update(dict.fromkeys({name for name, _ in stack[1:]}, weight))
    if not rooted:
        sys.exit(f"{folded} has no stack of {comm} that reaches the root")
    # All samples of a clock weigh the same.
    samples = event["samples"] * whole / event["weight"]
    return Profile(
        samples, shares(leaves, whole), samples * rooted / whole, shares(inclusive, rooted)
    )


def standard_error(percent, own, perf):
    """Of the difference of two shares of about @percent, in points, for so many samples."""
    p = min(max(percent / 100, 0), 1)
    return 100 * math.sqrt(p * (1 - p) * (1 / own + 1 / perf))


def top(profile, n):
    return sorted(profile, key=profile.get, reverse=True)[:n]


def compare(title, own, perf, counts, keys, points):
    """Print the shares of @keys side by side. Returns how many complaints there are."""
    complaints = 0
    print(f"# {title}: {counts[0]:.0f} samples by pmuflame, {counts[1]:.0f} by perf")
    for key in sorted(keys, key=lambda k: -perf.get(k, 0)):
        a, b = own.get(key, 0), perf.get(key, 0)
        error = standard_error((a + b) / 2, *counts)
        verdict = ""
        if abs(a - b) > points:
            verdict = "  DIFFERS"
        elif 4 * error > points:
            verdict = f"  TOO FEW SAMPLES: 4 standard errors are {4 * error:.2f} points"
        complaints += bool(verdict)
        name = key if isinstance(key, str) else "  ".join(key)
        print(f"{a:7.2f} {b:7.2f}  {name}{verdict}")
    return complaints


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--points", type=float, default=2)
    parser.add_argument("--inclusive", action="append", default=[], metavar="NAME")
    parser.add_argument("--cold", action="append", default=[], metavar="NAME")
    parser.add_argument("comm")
    parser.add_argument("summary")
    parser.add_argument("folded")
    parser.add_argument("script")
    args = parser.parse_args()
    own, perf = read_own(args.summary, args.folded, args.comm), read_perf(args.script)

    complaints = compare(
        "self",
        own.self,
        perf.self,
        (own.samples, perf.samples),
        set(top(own.self, SELF_TOP) + top(perf.self, SELF_TOP)),
        args.points,
    )
    both = top(own.inclusive, INCLUSIVE_TOP) + top(perf.inclusive, INCLUSIVE_TOP)
    complaints += compare(
        "inclusive",
        own.inclusive,
        perf.inclusive,
        (own.rooted, perf.rooted),
        set(both + args.inclusive) - set(args.cold),
        args.points,
    )
    for name in args.inclusive:
        if name not in own.inclusive or name not in perf.inclusive:
            complaints += 1
            print(f"{name} is missing from one of the profiles")
    sys.exit(1 if complaints else 0)


main()
