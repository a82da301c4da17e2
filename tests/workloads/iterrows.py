#!/usr/bin/python3
"""A DataFrame read row by row, the slow way, or by columns: iterrows.py [--mended] [SECONDS of CPU
time]"""

import sys
import time

import pandas

mended = "--mended" in sys.argv[1:]
seconds = [a for a in sys.argv[1:] if not a.startswith("--")]
end = time.process_time() + float(seconds[0] if seconds else 3)
frame = pandas.DataFrame({"price": range(2000), "shares": [i * 0.5 for i in range(2000)]})
rounds = 0
total = 0.0
while time.process_time() < end:
    value = 0.0
    if mended:
        value = float((frame["price"] * frame["shares"]).sum())
    else:
        for _, row in frame.iterrows():
            value += row["price"] * row["shares"]
    total += value
    rounds += 1
print(f"total {total / rounds:.0f}")
