#!/usr/bin/env python3
"""Compare pmuflame's places of random code addresses with llvm-symbolizer's and eu-addr2line's.

compare_lines.py LINES_AT FILE [--count N] [--seed N] [--peers llvm,eu] [--debug-root DIR] [--allow N]
                 [--show N] [--all]

Prints a line per peer: how many addresses agree wholly, and by kind how many differ. What is known to
differ and why is in docs/debug-info.md; those kinds do not fail. Ends with 1 if more than --allow of the rest
differ for a peer.
"""
import argparse
import collections
import json
import os
import random
import re
import subprocess
import sys

CLONE = re.compile(r"( \[clone [^]]*\]|\.(cold|part|constprop|isra|lto_priv|llvm|[0-9a-f]+))+$|@@?[A-Z].*$")


def run(args, text="", may_fail=False):
    out = subprocess.run(args, input=text, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                         errors="replace", check=False)
    if out.returncode != 0 and not may_fail:
        sys.exit(f"{' '.join(args)}: {out.stderr.strip()}")
    return out.stdout


def code_addresses(path, count, seed):
    """Anywhere in .text, also where no instruction starts: peers say the same there, too."""
    found = re.search(r" \.text +(?:PROGBITS|NOBITS) +([0-9a-f]+) +[0-9a-f]+ +([0-9a-f]+)",
                      run(["readelf", "-SW", path]))
    start, size = (int(n, 16) for n in found.groups())
    pick = random.Random(seed)
    return sorted(start + pick.randrange(size) for _ in range(count))


def place(text):
    """FILE:LINE[:COLUMN] as (file, line); the file None where it is not known."""
    path, line = re.match(r"(.*?):(\d+)(?::\d+)?(?: \(.*\))?$", text).groups()
    return clean(path), int(line)


def clean(path):
    return None if path in ("", "?", "??") else os.path.normpath(path)


def ours(lines_at, path, debug_root, addresses):
    text = "".join(f"{a:x}\n" for a in addresses)
    answers = []
    for line in run([lines_at, path, debug_root], text).splitlines():
        if line.startswith("0x") and "\t" not in line:
            answers.append([])
            continue
        name, where, decl = line.split("\t")
        answers[-1].append((None if name == "?" else name, *place(where), place(decl)[1]))
    return answers


def llvm(path, _, addresses):
    out = run(["llvm-symbolizer", f"--obj={path}", "--inlines", "--no-demangle",
               "--output-style=JSON"], "".join(f"0x{a:x}\n" for a in addresses))
    return [[(s["FunctionName"] or None, clean(s["FileName"]), s["Line"], s["StartLine"])
             for s in json.loads(line).get("Symbol", [])]
            for line in out.splitlines() if line]


def eu(path, debug_root, addresses):
    out = run(["eu-addr2line", "-a", "-f", "-i", "-A", f"--debuginfo-path=+:{debug_root}", "-e", path],
              "".join(f"0x{a:x}\n" for a in addresses), may_fail=True)
    answers, name = [], None
    for line in out.splitlines():
        if re.fullmatch(r"0x[0-9a-f]{16}", line):
            answers.append([])
            name = None
        elif name is None:
            name = line
        else:
            answers[-1].append((name.split(" inlined at ")[0].replace("??", "") or None,
                                *place(line), None))
            name = None
    return answers


def demangle(lines_at, names):
    names = sorted(n for n in names if n)
    return dict(zip(names, run([lines_at, "-d"], "".join(n + "\n" for n in names)).splitlines()))


def kind(mine, peer, names):
    """What is the first thing that differs, or None."""
    mine = [f for f in mine if f[0] or f[1]]
    peer = [f for f in peer if f[0] or f[1]]
    if not any(f[0] for f in mine) and (not peer or not peer[0][0]) and (mine[:1] or peer[:1]):
        # Between functions; eu-addr2line continues the one before.
        return None if len(mine) == len(peer) and mine[0][1:3] == peer[0][1:3] else "padding"
    if not mine:
        # A name and a file from the symbol table alone are not about lines.
        return None if not any(f[2] or f[3] for f in peer) else "only the peer knows"
    if not any(f[1] for f in peer) and any(f[1] for f in mine):
        return "only we know"
    if len(mine) != len(peer):
        return "other number of frames"
    for i, (m, p) in enumerate(zip(mine, peer)):
        if m[1:3] != p[1:3]:
            return "other place"
        theirs = names.get(p[0])
        # Where there is no linkage name, peers give a function's name without what it is in.
        if theirs and m[0] and m[0].endswith("::" + theirs):
            theirs = m[0]
        if m[0] != theirs and i < len(mine) - 1:
            return "other name of an inlined function" if theirs else "no name of an inlined function"
        if m[0] != theirs and (not m[0] or not theirs or CLONE.sub("", m[0]) != CLONE.sub("", theirs)):
            return "name from the symbol table"
        if p[3] is not None and m[3] != p[3]:
            return "other line of declaration"
    return None


# Explained in docs/debug-info.md.
EXPLAINED = {
    "llvm": {"name from the symbol table"},
    "eu": {"name from the symbol table", "padding"},
}


def main():
    ap = argparse.ArgumentParser()
    ap.add_argument("lines_at")
    ap.add_argument("file")
    ap.add_argument("--count", type=int, default=10000)
    ap.add_argument("--seed", type=int, default=1)
    ap.add_argument("--peers", default="llvm,eu")
    ap.add_argument("--debug-root", default="/usr/lib/debug")
    ap.add_argument("--show", type=int, default=3)
    ap.add_argument("--allow", type=int, default=0)
    ap.add_argument("--all", action="store_true", help="show examples of what is explained, too")
    args = ap.parse_args()
    addresses = code_addresses(args.file, args.count, args.seed)
    mine = ours(args.lines_at, args.file, args.debug_root, addresses)
    bad = len(mine) != len(addresses)
    for name in args.peers.split(","):
        theirs = {"llvm": llvm, "eu": eu}[name](args.file, args.debug_root, addresses)
        names = demangle(args.lines_at, {f[0] for a in theirs for f in a})
        kinds, examples = collections.Counter(), collections.defaultdict(list)
        for address, m, t in zip(addresses, mine, theirs, strict=True):
            k = kind(m, t, names)
            kinds[k] += 1
            examples[k].append((address, m, [(names.get(f[0]), *f[1:]) for f in t]))
        agree = kinds.pop(None, 0)
        known = sum(1 for m in mine if m)
        frames = sum(len(m) for m in mine)
        print(f"{name}: {agree} of {len(addresses)} agree ({known} known, {frames} frames)",
              *(f"{n} {k}" for k, n in kinds.most_common()), sep=", ")
        bad = bad or sum(n for k, n in kinds.items() if k not in EXPLAINED[name]) > args.allow
        for k in kinds:
            if k in EXPLAINED[name] and not args.all:
                continue
            for address, m, t in examples[k][:args.show]:
                print(f"  {k} at {address:#x}:\n    we say    {m}\n    {name} says {t}")
    sys.exit(bad)


if __name__ == "__main__":
    main()
