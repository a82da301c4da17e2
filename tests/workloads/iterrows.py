#!/usr/bin/python3
"""A DataFrame read row by row, the slow way: iterrows.py [SECONDS of CPU time]"""

import sys
import time

import pandas

end = time.process_time() + float(sys.argv[1] if len(sys.argv) > 1 else 3)
frame = pandas.DataFrame({"price": range(2000), "shares": [i * 0.5 for i in range(2000)]})
total = 0.0
while time.process_time() < end:
    for _, row in frame.iterrows():
        total += row["price"] * row["shares"]
print(f"total {total:.0f}")
