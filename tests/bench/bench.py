#!/usr/bin/python3
"""Measure pmuflame beside perf on the same programs, in the same minutes.

Usage: bench.py [--quick] [--rounds N] [--docs FILE] [--flamegraph DIR] [WORKLOAD|SECTION]...

Workloads: cpp, cpp-64k (65,528-byte dumps), python, threads, clang, recursion, events (four at
once); sections: unwind (ns a frame, nothing else), rings (draining and unwinding many rings), forks
(what events cost a fork), recording (drawing what perf recorded), and only when named soak (ten million
samples) and report (needs node, Chromium and tests/browser's packages). Without names: all but these two.
  --rounds N   runs of each (5); what is printed are medians
  --quick      one round, shorter programs: does it work at all?
  --docs FILE  put each table into FILE, between <!-- NAME --> and <!-- end -->
  --flamegraph DIR  where stackcollapse-perf.pl and flamegraph.pl are, for recording: the whole
               pipeline then stands beside, too

In every round the program runs bare, under pmuflame, under perf record without stacks (what the
interrupts alone cost it), and under perf record --call-graph dwarf, whose recording perf script then
unwinds for collapse.awk, which makes the same folded stacks. Per sample means per sample taken. Needs make check's programs (make bench builds them); run by scripts/bench.
"""

import argparse
import json
import os
import re
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
BUILD = os.environ.get("builddir", ".")
PMUFLAME = os.environ.get("PMUFLAME", os.path.join(BUILD, "pmuflame"))
WORK = os.path.join(BUILD, "tests/bench/bench_work")
TARGET = os.path.join(BUILD, "tests/bench/bench_target")
RATE_HZ = 10000
FOUR = "cpu-clock,page-faults,context-switches,task-clock"


class Workload:
    def __init__(self, title, command, events="cpu-clock", stack_bytes=None):
        self.title, self.command, self.events = title, command, events
        self.stack_bytes = stack_bytes
        self.clocks = events.count("-clock")


def workloads(quick):
    def rounds(n):
        return str(n // 8 if quick else n)

    pandas = ["/usr/bin/python3", f"{HERE}/bench_pandas.py"]
    clang = ["clang++", "-std=c++17", "-O2", "-c", f"{HERE}/bench_work.cpp", "-o", "/dev/null"]
    return {
        "cpp": Workload("C++, 45 to 60 frames", [WORK, "cpp", rounds(1500000)]),
        "cpp-64k": Workload(
            "the same with dumps of 65,528 bytes", [WORK, "cpp", rounds(400000)], stack_bytes=65528
        ),
        "python": Workload("python3 and pandas", [*pandas, rounds(80)]),
        "threads": Workload("64 threads", [WORK, "threads", rounds(800000)]),
        "clang": Workload("clang at work", clang),
        "recursion": Workload("recursion, 5,000 frames", [WORK, "recursion", rounds(1600)]),
        "events": Workload("C++, four events", [WORK, "cpp", rounds(800000)], events=FOUR),
    }


def run(argv, **options):
    """Run to the end; (wall seconds, rusage of it and what it waited for)."""
    start = time.monotonic()
    process = subprocess.Popen(argv, stdin=subprocess.DEVNULL, **options)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        sys.exit(f"bench: status {process.returncode} from: {' '.join(argv)}")
    return time.monotonic() - start, usage


def cpu(usage):
    return usage.ru_utime + usage.ru_stime


def stamp(path):
    """(wall, CPU, exit time) that bench_target left."""
    with open(path, encoding="ascii") as f:
        wall, seconds, exit_ns = f.read().split()
    return float(wall), float(seconds), int(exit_ns) / 1e9


def run_bare(w, folder):
    run([TARGET, f"{folder}/stamp", *w.command], stdout=subprocess.DEVNULL)
    return stamp(f"{folder}/stamp")[0]


def run_pmuflame(w, folder):
    argv = [PMUFLAME, "-q", "-e", w.events, "-F", str(RATE_HZ), "-o", f"{folder}/out/"]
    argv += ["--summary", f"{folder}/summary.json"]
    if w.stack_bytes:
        argv += ["--stack-bytes", str(w.stack_bytes)]
    run(
        [*argv, "--", TARGET, f"{folder}/stamp", *w.command],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    wall, target_cpu, _ = stamp(f"{folder}/stamp")
    with open(f"{folder}/summary.json", encoding="utf-8") as f:
        summary = json.load(f)
    recorder, events = summary["recorder"], summary["events"]
    samples = sum(e["samples"] for e in events)
    return {
        "samples": samples,
        "frames": sum(e["frames"] for e in events),
        "lost": sum(e["lost"] or 0 for e in events),
        "cpu": recorder["cpu_seconds"],
        "exit": recorder["write_seconds"],
        "rss": recorder["peak_rss_bytes"],
        "bytes": recorder["written_bytes"],
        "wall": wall,
        "target_cpu": target_cpu,
    }


def perf_record(w, folder, data, *how):
    """What bench_target says of the program, and the rusage of both."""
    argv = ["perf", "record", "-q", "-F", str(RATE_HZ), "-o", data, *how, "-e", w.events]
    _, usage = run(
        [*argv, "--", TARGET, f"{folder}/stamp", *w.command],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    return stamp(f"{folder}/stamp"), usage


def run_without_stacks(w, folder):
    return perf_record(w, folder, f"{folder}/bare.data")[0][0]


def run_perf(w, folder):
    data = f"{folder}/perf.data"
    dwarf = f"dwarf,{w.stack_bytes}" if w.stack_bytes else "dwarf"
    (wall, target_cpu, exit_time), usage = perf_record(w, folder, data, "--call-graph", dwarf)
    record_cpu = max(cpu(usage) - target_cpu, 0)
    counts, script_cpu, rss = perf_script(data, folder, "--no-inline")
    done = time.time()
    _, inlines_cpu, _ = perf_script(data, folder)
    return {
        **counts,
        "cpu": record_cpu + script_cpu,
        "script_cpu": script_cpu,
        "inlines_cpu": inlines_cpu,
        "exit": done - exit_time,
        "rss": rss,
        "bytes": os.path.getsize(data) + os.path.getsize(f"{folder}/perf.folded"),
        "wall": wall,
        "target_cpu": target_cpu,
    }


def perf_script(data, folder, *how):
    """perf script into collapse.awk. CPU and memory are perf's alone."""
    argv = ["perf", "script", "-i", data, *how, "--max-stack", "1024"]
    argv += ["-F", "comm,ip,sym", "--show-lost-events"]
    with open(f"{folder}/perf.folded", "wb") as folded:
        script = subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        awk = subprocess.Popen(
            ["awk", "-f", f"{HERE}/collapse.awk"],
            stdin=script.stdout,
            stdout=folded,
            stderr=subprocess.PIPE,
            text=True,
        )
        script.stdout.close()
        said = awk.stderr.read()
        _, status, usage = os.wait4(script.pid, 0)
        script.returncode = os.waitstatus_to_exitcode(status)
        awk.wait()
    found = re.search(r"samples (\d+) frames (\d+) lost (\d+)", said)
    if script.returncode or not found:
        sys.exit("bench: perf script failed")
    names = ("samples", "frames", "lost")
    counts = dict(zip(names, map(int, found.groups())))
    return counts, cpu(usage), usage.ru_maxrss * 1024


# name, what of a run, digits
METRICS = [
    ("samples taken", lambda r: r["samples"], 0),
    ("samples a second of the program's CPU time", lambda r: r["samples"] / r["target_cpu"], 0),
    ("lost by its own account, %", lambda r: 100 * r["lost"] / (r["lost"] + r["samples"]), 2),
    ("missing from CPU time × rate, %", lambda r: r["missing"], 2),
    ("CPU per sample, all included, µs", lambda r: r["cpu"] / r["samples"] * 1e6, 2),
    ("CPU per frame, all included, ns", lambda r: r["cpu"] / r["frames"] * 1e9, 0),
    ("program's exit to the last file, ms", lambda r: r["exit"] * 1e3, 0),
    ("peak memory beside the rings, MiB", lambda r: r["rss"] / 2**20, 0),
    ("written, MiB", lambda r: r["bytes"] / 2**20, 1),
    ("slowdown of the program", lambda r: r["wall"] / r["bare"], 2),
]


def table(runs):
    """Medians of both tools and of their ratios, round by round."""
    lines = ["| | pmuflame | perf | perf / pmuflame |", "|---|---:|---:|---:|"]

    def row(name, own, other, digits):
        pairs = [(a, b) for a, b in zip(own, other) if a > 0]
        ratio = f"{statistics.median(b / a for a, b in pairs):.3g}" if len(pairs) == len(own) else ""
        numbers = [f"{statistics.median(x):,.{digits}f}" for x in (own, other)]
        lines.append(f"| {name} | {numbers[0]} | {numbers[1]} | {ratio} |")

    for name, value, digits in METRICS:
        row(name, [value(a) for a, _ in runs], [value(b) for _, b in runs], digits)
        if name.startswith("CPU per sample"):
            # Unwinding alone is not what pmuflame's number is: all it does stands against it.
            for script, key in (("--no-inline", "script_cpu"), ("as it comes", "inlines_cpu")):
                row(
                    f"… against perf script alone, {script}, µs",
                    [value(a) for a, _ in runs],
                    [b[key] / b["samples"] * 1e6 for _, b in runs],
                    digits,
                )
    floor = statistics.median(a["floor"] / a["bare"] for a, _ in runs)
    lines.append(f"| … by the interrupts alone, without stacks |  | {floor:.2f} |  |")
    return "\n".join(lines)


def measure(w, rounds):
    runs = []
    for _ in range(rounds):
        with tempfile.TemporaryDirectory(dir=os.environ.get("TMPDIR", "/tmp")) as folder:
            bare = run_bare(w, folder)
            floor = run_without_stacks(w, folder)
            own, other = run_pmuflame(w, folder), run_perf(w, folder)
        for r in own, other:
            r["bare"], r["floor"] = bare, floor
            wanted = r["target_cpu"] * RATE_HZ * w.clocks
            r["missing"] = max(100 * (1 - r["samples"] / wanted), 0)
        runs.append((own, other))
    command = " ".join(os.path.basename(a) if i == 0 else a for i, a in enumerate(w.command))
    command = command.replace(HERE, "tests/bench")
    return f"`{command}`, {w.events} at {RATE_HZ:,} Hz\n\n{table(runs)}"


def program(name, *args):
    path = os.path.join(BUILD, "tests/bench", name)
    done = subprocess.run([path, *args], stdout=subprocess.PIPE, text=True, check=True)
    return done.stdout.rstrip()


def unwind(quick):
    """The walk alone, by each unwinder: thread CPU time per frame."""
    known, lines = workloads(quick), []
    for name in ("cpp", "python", "clang"):
        for by in ("cfi", "libunwind"):
            argv = ["-F", "4999", "-n", "500" if quick else "5000", "-u", by, "--"]
            said = program("bench_unwind", *argv, *known[name].command)
            r = json.loads(said.splitlines()[-1])
            lines.append(
                f"| {known[name].title} | {by} | {r['samples']:,} | "
                f"{r['frames_per_sample']:.0f} | {r['first_ns']:.0f} | {r['cold_ns']:.0f} | "
                f"{r['warm_ns']:.0f} |"
            )
    head = "| program | unwinder | samples | frames a sample | first, ns a frame | cold | warm |\n"
    return head + "|---|---|---:|---:|---:|---:|---:|\n" + "\n".join(lines)


def rings(quick, folder):
    """Real samples of the C++ program, copied into many rings."""
    dump = os.path.join(BUILD, "tests/tools/ringdump")
    recording = f"{folder}/cpp.ring"
    argv = [dump, "-o", recording, "-s", "8192", "-f", "4999", "-n", "1000000"]
    run([*argv, "--", os.path.abspath(WORK), "cpp", "1500"], stdout=subprocess.DEVNULL)
    return program("bench_rings", recording, "1024" if quick else "8192")


def forks(quick):
    return program("bench_forks", "50" if quick else "400")


def report(rounds):
    argv = ["node", os.path.join(HERE, "../browser/bench_report.mjs"), str(rounds)]
    done = subprocess.run(argv, stdout=subprocess.PIPE, text=True, check=True)
    return done.stdout.rstrip()


def soak(quick):
    """Memory over a long run: pmuflame's own, looked at while it runs."""
    rounds = 400000 if quick else 1600000 * 100
    with tempfile.TemporaryDirectory() as folder:
        summary = f"{folder}/summary.json"
        argv = [PMUFLAME, "-q", "-e", "cpu-clock", "-F", str(RATE_HZ), "-o", f"{folder}/o/"]
        argv += ["--summary", summary, "--", WORK, "threads", str(rounds)]
        process = subprocess.Popen(argv, stdout=subprocess.DEVNULL)
        start, rows = time.monotonic(), []
        while process.poll() is None:
            with open(f"/proc/{process.pid}/status", encoding="ascii") as f:
                rss = re.search(r"VmRSS:\s+(\d+)", f.read())
            if rss:
                rows.append((time.monotonic() - start, int(rss[1]) / 1024))
            time.sleep(1 if quick else 10)
        with open(summary, encoding="utf-8") as f:
            done = json.load(f)
    lines = ["| after | memory, MiB |", "|---:|---:|"]
    step = max(len(rows) // 10, 1)
    lines += [f"| {t:,.0f} s | {mib:.1f} |" for t, mib in rows[::step]]
    e = done["events"][0]
    lines.append("")
    lines.append(
        f"{e['samples']:,} samples, {e['lost']:,} lost; the peak was "
        f"{done['recorder']['peak_rss_bytes'] / 2**20:.1f} MiB, the CPU time "
        f"{done['recorder']['cpu_seconds'] / e['samples'] * 1e6:.2f} µs a sample, and the last "
        f"file was there {done['recorder']['write_seconds'] * 1e3:.0f} ms after the exit."
    )
    return "\n".join(lines)


def recording(quick, rounds, scripts):
    """From a perf.data file to the flame graph, or, by perf script, to text."""
    tools = {"pmuflame render": 'exec "$0" render -o "$2/" "$1"'}
    tools["perf script --no-inline"] = 'exec perf script -i "$1" --no-inline >"$2/text"'
    if scripts:
        collapse, draw = (f"{os.path.abspath(scripts)}/{n}.pl" for n in ("stackcollapse-perf", "flamegraph"))
        tools["… \\| stackcollapse-perf.pl \\| flamegraph.pl"] = (
            f'perf script -i "$1" --no-inline | {collapse} | {draw} >"$2/drawn.svg"'
        )
    runs = {name: [] for name in tools}
    with tempfile.TemporaryDirectory(dir=os.environ.get("TMPDIR", "/tmp")) as folder:
        data = f"{folder}/perf.data"
        argv = ["perf", "record", "-q", "-F", str(RATE_HZ), "--call-graph", "dwarf", "-e", "cpu-clock"]
        argv += ["-o", data, "--", WORK, "cpp", "100000" if quick else "1000000"]
        run(argv, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        for _ in range(rounds):
            for name, script in tools.items():
                wall, usage = run(
                    ["sh", "-c", script, os.path.abspath(PMUFLAME), data, folder],
                    stdout=subprocess.DEVNULL,
                    stderr=subprocess.DEVNULL,
                )
                runs[name].append((wall, cpu(usage), usage.ru_maxrss / 1024))
        with open(f"{folder}/bench_work.cpu-clock.svg", encoding="utf-8") as f:
            samples = int(re.search(r"samples ([\d,]+)", f.read())[1].replace(",", ""))
        size = os.path.getsize(data) / 2**20
    own = runs["pmuflame render"]
    lines = ["| | wall, s | … / pmuflame | CPU, s | … / pmuflame | peak memory, MiB |"]
    lines.append("|---|---:|---:|---:|---:|---:|")
    for name, theirs in runs.items():
        cells = []
        for i in range(2):
            cells.append(f"{statistics.median(r[i] for r in theirs):.2f}")
            cells.append(f"{statistics.median(b[i] / a[i] for a, b in zip(own, theirs)):.3g}")
        memory = statistics.median(r[2] for r in theirs)
        lines.append(f"| {name} | {' | '.join(cells)} | {memory:,.0f} |")
    return f"{samples:,} samples with 8 KiB of stack each, {size:,.0f} MiB\n\n" + "\n".join(lines)


def put(path, name, text):
    """Replace what stands between the marks of @name in the document."""
    with open(path, encoding="utf-8") as f:
        old = f.read()
    mark = re.compile(rf"(<!-- {re.escape(name)} -->\n).*?(<!-- end -->)", re.DOTALL)
    if not mark.search(old):
        sys.exit(f"bench: {path} has no place for {name}")
    with open(path, "w", encoding="utf-8") as f:
        f.write(mark.sub(lambda m: m[1] + text + "\n" + m[2], old))


def main():
    parser = argparse.ArgumentParser(usage=__doc__)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--docs")
    parser.add_argument("--flamegraph")
    parser.add_argument("names", nargs="*")
    args = parser.parse_args()
    known = workloads(args.quick)
    sections = ["unwind", "rings", "forks", "recording"]
    names = args.names or [*known, *sections]
    unknown = [n for n in names if n not in known and n not in (*sections, "soak", "report")]
    if unknown:
        parser.error(f"unknown name '{unknown[0]}'")
    if not shutil.which("perf"):
        sys.exit("bench: perf is missing: apt-get install linux-perf")
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    for name in names:
        if name in known:
            title = known[name].title
            text = measure(known[name], 1 if args.quick else args.rounds)
        elif name == "unwind":
            title, text = "the walk alone", unwind(args.quick)
        elif name == "rings":
            title = "many rings"
            with tempfile.TemporaryDirectory() as folder:
                text = rings(args.quick, folder)
        elif name == "forks":
            title, text = "fork, exec and wait", forks(args.quick)
        elif name == "recording":
            title = "drawing what perf recorded"
            text = recording(args.quick, 1 if args.quick else args.rounds, args.flamegraph)
        elif name == "report":
            title, text = "the report of 105,000 functions", report(args.rounds)
        else:
            title, text = "memory over a long run", soak(args.quick)
        print(f"## {name}: {title}\n\n{text}\n", flush=True)
        if args.docs:
            put(args.docs, name, text)


main()
