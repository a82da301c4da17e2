#!/usr/bin/python3
"""Measure pmuflame beside perf on the same programs, in the same minutes.

Usage: bench.py [--quick] [--rounds N] [--docs FILE] [--flamegraph DIR] [--py-spy PATH]
                [WORKLOAD|SECTION]...

Workloads: cpp, cpp-64k (65,528-byte dumps), python, threads, clang, recursion, events (four at
once); sections: unwind (ns a frame, nothing else), rings (draining and unwinding many rings), forks
(what events cost a fork), recording (drawing what perf recorded), and only when named: soak (ten million
samples), report (needs node, Chromium and tests/browser's packages), pyspy (Python frames beside
py-spy's) and pysoak (a million of the agent's handlers). Without names: all but these four.
  --rounds N   runs of each (5); what is printed are medians
  --quick      one round, shorter programs: does it work at all?
  --docs FILE  put each table into FILE, between <!-- NAME --> and <!-- end -->
  --flamegraph DIR  where stackcollapse-perf.pl and flamegraph.pl are, for recording: the whole
               pipeline then stands beside, too
  --py-spy PATH  where py-spy is, if not on PATH ('pip install py-spy' in a venv gets it)

In every round the program runs bare, under pmuflame without and with inlined functions, under perf
record without stacks (what the interrupts alone cost it), and under perf record --call-graph dwarf, whose
recording perf script then unwinds for collapse.awk, which makes the same folded stacks. Per sample means
per sample taken. Needs make check's programs (make bench builds them); run by scripts/bench.
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
    def __init__(self, title, command, events="cpu-clock", stack_bytes=None, python=False):
        self.title, self.command, self.events = title, command, events
        self.stack_bytes = stack_bytes
        self.python = python  # also without Python frames
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
        "python": Workload("python3 and pandas", [*pandas, rounds(200)], python=True),
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


def run_pmuflame(w, folder, *options):
    argv = [PMUFLAME, *options, "-q", "-e", w.events, "-F", str(RATE_HZ), "-o", f"{folder}/out/"]
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


def table(names, runs):
    """Medians of all tools, and of the last one's ratio to the first, round by round; where it names
    inlined functions, to the second, which does too."""
    ratio_name = f"{names[-1]} / {names[0]}"
    lines = ["| | " + " | ".join([*names, ratio_name]) + " |", "|---|" + "---:|" * (len(names) + 1)]

    def row(name, columns, digits, to=0):
        pairs = [(a, b) for a, b in zip(columns[to], columns[-1]) if a > 0]
        whole = len(pairs) == len(columns[to])
        ratio = f"{statistics.median(b / a for a, b in pairs):.3g}" if whole else ""
        numbers = [f"{statistics.median(x):,.{digits}f}" for x in columns]
        lines.append("| " + " | ".join([name, *numbers, ratio]) + " |")

    tools = list(zip(*runs))
    for name, value, digits in METRICS:
        row(name, [[value(r) for r in tool] for tool in tools], digits)
        if name.startswith("CPU per sample"):
            # Unwinding alone is not what pmuflame's number is: all it does stands against it.
            own = [[value(r) for r in tool] for tool in tools[:-1]]
            scripts = (("--no-inline", "script_cpu"), ("as it comes", "inlines_cpu"))
            for to, (script, key) in enumerate(scripts):
                theirs = [r[key] / r["samples"] * 1e6 for r in tools[-1]]
                row(f"… against perf script alone, {script}, µs", [*own, theirs], digits, to)
    floor = statistics.median(r["floor"] / r["bare"] for r in tools[-1])
    lines.append(
        "| … by the interrupts alone, without stacks |"
        + "  |" * (len(names) - 1)
        + f" {floor:.2f} |  |"
    )
    return "\n".join(lines)


def measure(w, rounds):
    runs, names = [], ["`--inline no`", "pmuflame", "perf"]
    if w.python:
        names.insert(2, "`--inline no --python no`")
    for _ in range(rounds):
        with tempfile.TemporaryDirectory(dir=os.environ.get("TMPDIR", "/tmp")) as folder:
            bare = run_bare(w, folder)
            floor = run_without_stacks(w, folder)
            results = [run_pmuflame(w, folder, "--inline", "no"), run_pmuflame(w, folder)]
            if w.python:
                results.append(run_pmuflame(w, folder, "--inline", "no", "--python", "no"))
            results.append(run_perf(w, folder))
        for r in results:
            r["bare"], r["floor"] = bare, floor
            wanted = r["target_cpu"] * RATE_HZ * w.clocks
            r["missing"] = max(100 * (1 - r["samples"] / wanted), 0)
        runs.append(results)
    command = " ".join(os.path.basename(a) if i == 0 else a for i, a in enumerate(w.command))
    command = command.replace(HERE, "tests/bench")
    return f"`{command}`, {w.events} at {RATE_HZ:,} Hz\n\n{table(names, runs)}"


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


def rings(quick):
    """Real samples of the C++ program, copied into many rings."""
    dump = os.path.join(BUILD, "tests/tools/ringdump")
    with tempfile.TemporaryDirectory() as folder:
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
    tools = {"pmuflame render": 'exec "$0" render --inline no -o "$2/" "$1"'}
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


PYTHON = "/usr/bin/python3"
PYSHARES = os.path.join(HERE, "../workloads/pyshares.py")


def folded_samples(path):
    with open(path, encoding="utf-8") as f:
        return sum(int(line.rsplit(" ", 1)[1]) for line in f)


def record_python(tool, rate_hz, script, folder):
    """Run @script under @tool; (folded file, samples)."""
    if tool[0] == PMUFLAME:
        argv = [*tool, "-q", "-e", "cpu-clock", "-F", str(rate_hz), "--format", "folded"]
        argv += ["--summary", f"{folder}/summary.json", "-o", f"{folder}/out/", "--"]
        folded = f"{folder}/out/{os.path.basename(script[0])[:-3]}.cpu-clock.folded"
    else:
        folded = f"{folder}/py-spy.folded"
        argv = [*tool, "-r", str(rate_hz), "-s", "-f", "raw", "-o", folded, "--"]
    run([*argv, PYTHON, *script], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    if tool[0] == PMUFLAME:
        with open(f"{folder}/summary.json", encoding="utf-8") as f:
            return folded, json.load(f)["events"][0]["samples"]
    return folded, folded_samples(folded)


def share_error(tool, rate_hz, seconds, folder):
    """The largest difference between a function's share and what it measured itself, in points."""
    folded, _ = record_python(tool, rate_hz, [PYSHARES, f"{folder}/shares", seconds], folder)
    compare = os.path.join(HERE, "../compare_pyshares.py")
    argv = [PYTHON, compare, "100", f"{folder}/shares", folded, PYSHARES]
    said = subprocess.run(argv, stdout=subprocess.PIPE, text=True, check=False).stdout
    pairs = re.findall(r"([0-9.]+) % measured, +([0-9.]+) % seen", said)
    return max(abs(float(a) - float(b)) for a, b in pairs)


def pandas_run(tool, rate_hz, work, folder):
    """(samples of those wanted in %, the program's wall and CPU seconds)"""
    script = [f"{HERE}/bench_pandas.py", work, f"{folder}/stamp"]
    samples = 0
    if tool:
        _, samples = record_python(tool, rate_hz, script, folder)
    else:
        run([PYTHON, *script], stdout=subprocess.DEVNULL)
    with open(f"{folder}/stamp", encoding="ascii") as f:
        wall, seconds = map(float, f.read().split())
    if not tool:
        return 0, wall, seconds
    # py-spy's clock is the wall's.
    wanted = rate_hz * (seconds if tool[0] == PMUFLAME else wall)
    return 100 * samples / wanted, wall, seconds


def pyspy(quick, rounds, py_spy):
    """Python frames beside py-spy, which looks from outside at a clock's pace."""
    tools = {
        "pmuflame": [PMUFLAME],
        "pmuflame --python no": [PMUFLAME, "--python", "no"],
        "py-spy": [py_spy, "record"],
        "py-spy --native": [py_spy, "record", "--native"],
        "py-spy --nonblocking": [py_spy, "record", "--nonblocking"],
    }
    work, seconds = ("4", "0.5") if quick else ("40", "4")
    lines = [
        "| rate, Hz | | slowdown, wall | … CPU | samples of those wanted, % | "
        "largest error of a share, points |",
        "|---:|---|---:|---:|---:|---:|",
    ]
    for rate_hz in (1000, 10000):
        results = {name: [] for name in tools}
        for _ in range(rounds):
            with tempfile.TemporaryDirectory() as folder:
                _, bare_wall, bare_cpu = pandas_run(None, rate_hz, work, folder)
            for name, tool in tools.items():
                with tempfile.TemporaryDirectory() as folder:
                    held, wall, used = pandas_run(tool, rate_hz, work, folder)
                    error = 0
                    if "--python" not in tool:
                        error = share_error(tool, rate_hz, seconds, folder)
                    results[name].append((wall / bare_wall, used / bare_cpu, held, error))
        for name, rows in results.items():
            slow, used, held, error = (statistics.median(column) for column in zip(*rows))
            shown = f"{error:.2f}" if error else "–"
            lines.append(
                f"| {rate_hz:,} | {name} | {slow:.2f} | {used:.3f} | {held:.1f} | {shown} |"
            )
    said = subprocess.run([py_spy, "--version"], stdout=subprocess.PIPE, text=True, check=True)
    head = f"`bench_pandas.py {work}` and `pyshares.py` for {seconds} s of CPU time, {said.stdout.strip()}"
    return head + "\n\n" + "\n".join(lines)


def pysoak(quick):
    """A million of the agent's handlers, in two interpreters at once: do they change a result?"""
    wanted, work = (10000, "4") if quick else (1000000, "200")
    one = [PYTHON, f"{HERE}/bench_pandas.py", work]
    expected = 2 * subprocess.run(one, stdout=subprocess.PIPE, check=True).stdout
    both = " ".join(one)
    handlers = runs = lost = 0
    start = time.monotonic()
    while handlers < wanted:
        with tempfile.TemporaryDirectory() as folder:
            argv = [PMUFLAME, "-q", "-e", "cpu-clock", "-F", str(RATE_HZ), "--stack-bytes", "8192"]
            argv += ["-o", f"{folder}/o/", "--summary", f"{folder}/summary.json", "--", "sh", "-c"]
            argv += [f"{both} & {both} & wait $! && wait"]
            said = subprocess.run(argv, stdout=subprocess.PIPE, check=True).stdout
            if said != expected:
                sys.exit(f"bench: the result changed: {said}")
            with open(f"{folder}/summary.json", encoding="utf-8") as f:
                done = json.load(f)
        notes = " ".join(n["text"] for n in done["notes"])
        handlers += int(re.search(r"([0-9,]+) samples with Python", notes)[1].replace(",", ""))
        lost += done["events"][0]["lost"]
        runs += 1
    return (
        f"{handlers:,} Python stacks at {RATE_HZ:,} Hz in {time.monotonic() - start:,.0f} s: "
        f"{runs} times two interpreters at once with `bench_pandas.py {work}`; {lost:,} samples were "
        "lost, none of the programs ended early or printed another result."
    )


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
    parser.add_argument("--py-spy", default=shutil.which("py-spy"))
    parser.add_argument("names", nargs="*")
    args = parser.parse_args()
    known = workloads(args.quick)
    rounds = 1 if args.quick else args.rounds
    always = {
        "unwind": ("the walk alone", lambda: unwind(args.quick)),
        "rings": ("many rings", lambda: rings(args.quick)),
        "forks": ("fork, exec and wait", lambda: forks(args.quick)),
        "recording": (
            "drawing what perf recorded",
            lambda: recording(args.quick, rounds, args.flamegraph),
        ),
    }
    sections = {
        **always,
        "soak": ("memory over a long run", lambda: soak(args.quick)),
        "report": ("the report of 105,000 functions", lambda: report(args.rounds)),
        "pyspy": ("beside py-spy", lambda: pyspy(args.quick, rounds, args.py_spy)),
        "pysoak": ("a million handlers", lambda: pysoak(args.quick)),
    }
    names = args.names or [*known, *always]
    unknown = [n for n in names if n not in known and n not in sections]
    if unknown:
        parser.error(f"unknown name '{unknown[0]}'")
    if "pyspy" in names and not args.py_spy:
        parser.error("py-spy is missing: 'pip install py-spy' in a venv, and --py-spy PATH")
    if not shutil.which("perf"):
        sys.exit("bench: perf is missing: apt-get install linux-perf")
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    for name in names:
        if name in known:
            title = known[name].title
            text = measure(known[name], rounds)
        else:
            title, text = sections[name][0], sections[name][1]()
        print(f"## {name}: {title}\n\n{text}\n", flush=True)
        if args.docs:
            put(args.docs, name, text)


main()
