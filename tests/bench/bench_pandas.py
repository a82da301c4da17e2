#!/usr/bin/python3
"""A DataFrame read row by row, a fixed number of times: bench_pandas.py ROUNDS [FILE]

FILE gets the seconds that it took, by the wall's clock and of CPU time."""

import sys
import time

start = time.monotonic()

import pandas  # noqa: E402, it is part of what is measured

frame = pandas.DataFrame({"price": range(2000), "shares": [i * 0.5 for i in range(2000)]})
total = 0.0
for _ in range(int(sys.argv[1])):
    for _, row in frame.iterrows():
        total += row["price"] * row["shares"]
print(f"total {total:.0f}")
if len(sys.argv) > 2:
    with open(sys.argv[2], "w", encoding="ascii") as out:
        print(time.monotonic() - start, time.process_time(), file=out)
