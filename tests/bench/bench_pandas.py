#!/usr/bin/python3
"""A DataFrame read row by row, a fixed number of times: bench_pandas.py ROUNDS"""

import sys

import pandas

frame = pandas.DataFrame({"price": range(2000), "shares": [i * 0.5 for i in range(2000)]})
total = 0.0
for _ in range(int(sys.argv[1])):
    for _, row in frame.iterrows():
        total += row["price"] * row["shares"]
print(f"total {total:.0f}")
