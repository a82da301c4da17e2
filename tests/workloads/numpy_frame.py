#!/usr/bin/python3
"""The additions of dataframe.c in numpy, by rows and by columns: numpy_frame.py [PASSES]"""

import sys
import numpy


def by_rows(frame):
    total = 0.0
    for r in range(frame.shape[0]):
        total += frame[r].sum()
    return total


def by_columns(frame):
    total = 0.0
    for c in range(frame.shape[1]):
        total += frame[:, c].sum()
    return total


frame = numpy.ones((600, 600))
for _ in range(int(sys.argv[1]) if len(sys.argv) > 1 else 20):
    by_rows(frame)
    by_columns(frame)
