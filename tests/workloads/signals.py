#!/usr/bin/python3
"""Signals for backtest.py: a breakout detector, used as such code often uses it, and mended. By itself,
signals.py [--mended] [--bars N] makes those of one symbol."""

import argparse
import json
import math

import pandas

SETTINGS = json.dumps({"window": 20, "threshold": 1.5, "fields": ["close", "volume"]})


class Detector:
    """Tells whether the last close is far from the mean of the window before it."""

    def __init__(self, settings):
        values = json.loads(settings)
        self.window = values["window"]
        self.threshold = values["threshold"]
        self.fields = tuple(values["fields"])

    def position(self, closes):
        """1, -1 or 0 for the last of @closes."""
        if len(closes) <= self.window:
            return 0
        past = closes[-self.window - 1:-1]
        mean = math.fsum(past) / self.window
        spread = math.sqrt(math.fsum((x - mean) ** 2 for x in past) / (self.window - 1))
        distance = closes[-1] - mean
        if spread == 0 or abs(distance) < self.threshold * spread:
            return 0
        return 1 if distance > 0 else -1


def signals_per_bar(frame, one_detector=False):
    """The mistakes: rows one by one, and, unless it is mended, a detector for each."""
    closes = []
    positions = []
    detector = None
    for _, row in frame.iterrows():
        if detector is None or not one_detector:
            detector = Detector(SETTINGS)
        closes.append(row["close"])
        positions.append(detector.position(closes))
    return positions


def signals_per_close(frame):
    """The rows are mended: a list of closes. Each has its detector still."""
    closes = []
    positions = []
    for close in frame["close"].tolist():
        detector = Detector(SETTINGS)
        closes.append(close)
        positions.append(detector.position(closes))
    return positions


def signals_at_once(frame):
    """Mended: whole columns, and one detector."""
    detector = Detector(SETTINGS)
    close = frame["close"]
    past = close.shift(1).rolling(detector.window)
    distance = close - past.mean()
    spread = past.std()
    far = (spread > 0) & (distance.abs() >= detector.threshold * spread)
    positions = (distance > 0).astype(int) - (distance < 0).astype(int)
    return positions.where(far, 0).tolist()


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--mended", action="store_true")
    parser.add_argument("--bars", type=int, default=20000)
    args = parser.parse_args()
    close = [100 + 5 * math.sin(bar / 7) + bar * 7919 % 101 / 40 for bar in range(args.bars)]
    find = signals_at_once if args.mended else signals_per_bar
    positions = find(pandas.DataFrame({"close": close}))
    print(f"bars {args.bars}")
    print(f"long {positions.count(1)}")
    print(f"short {positions.count(-1)}")


if __name__ == "__main__":
    main()
