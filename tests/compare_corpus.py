#!/usr/bin/env python3
"""compare_corpus.py DUMP FOLDER: is what DUMP (tests/tools/perf_data_dump) finds in the recordings of
FOLDER what its index.tsv says? Each is read as a file and as a stream. Prints what differs."""
import csv
import json
import pathlib
import subprocess
import sys

# Decoded by perf from a hardware trace (Intel PT), not recorded as events.
DECODED = {"psb", "cbr", "branches"}


def found(dump, stdin, *args):
    """What was printed, or the error; samples and weights of events with samples; losses, damage."""
    done = subprocess.run([dump, *args], stdin=stdin, capture_output=True, text=True, check=False)
    events, lost, damage = [], None, None
    for line in done.stdout.splitlines():
        what, *fields = line.split("\t")
        if what == "event" and fields[1] != "0":
            events.append((fields[0], int(fields[1]), int(fields[2])))
        elif what == "lost":
            lost = max(map(int, fields))
        elif what in ("damage", "stopped"):
            damage = (damage or "") + line
    return done.stdout or "no recording", events, lost, damage


def wanted(row):
    samples, sums = (json.loads(row[f"{what}_per_event"]) for what in ("samples", "period_sum"))
    decoded = DECODED if "intel_pt" in row["file"] else set()
    return [(name, samples[name], sums[name]) for name in samples if name not in decoded]


def differences(dump, folder, row):
    path = folder / row["file"]
    with path.open("rb") as stdin:
        text, events, lost, damage = found(dump, None, str(path))
        cat = subprocess.Popen(["cat"], stdin=stdin, stdout=subprocess.PIPE)
        streamed = found(dump, cat.stdout)[0]
        cat.stdout.close()
        cat.wait()
    want = wanted(row)
    if row["container"].startswith("pipe"):
        # A stream says its events' names; the index has those that perf 6.1 makes of attributes.
        want, events = ([fields[1:] for fields in some] for some in (want, events))
    if sorted(want) != sorted(events):
        yield f"{want} is wanted, {events} is there"
    if lost not in (None, int(row["lost_events"])):
        yield f"{row['lost_events']} events were lost, {lost} are found"
    if damage and damage != "damage\t0\t0\t0\t0\t0":
        yield damage
    if streamed != text:
        yield "a stream of it is read differently"


def main():
    dump, folder = sys.argv[1], pathlib.Path(sys.argv[2])
    with (folder / "index.tsv").open(encoding="utf-8") as index:
        rows = list(csv.DictReader(index, delimiter="\t"))
    wrong = [f"{row['file']}: {what}" for row in rows for what in differences(dump, folder, row)]
    print("\n".join(wrong) if wrong else f"{len(rows)} recordings are read right")
    return 1 if wrong or not rows else 0


sys.exit(main())
