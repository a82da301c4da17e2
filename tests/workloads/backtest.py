#!/usr/bin/python3
"""A backtest over SQLite with pandas, with the usual mistakes or without:
backtest.py [--mended[=query,rows,detector]] [--symbols N] [--bars N]

All print the same profit."""

import argparse
import functools
import math

import pandas
import sqlalchemy

import signals


def make_prices(engine, symbols, bars):
    """Closes that swing and drift, the same in every run."""
    rows = []
    for s in range(symbols):
        for bar in range(bars):
            close = 100 + 5 * math.sin(bar / (7 + s % 5)) + (bar * (s + 3) * 7919 % 101) / 40
            rows.append({"symbol": f"S{s:03}", "bar": bar, "close": round(close, 4),
                         "volume": 1000 + bar % 17})
    pandas.DataFrame(rows).to_sql("prices", engine, index=False)


def load_one_by_one(engine, names):
    """The mistake: a query for each symbol."""
    query = sqlalchemy.text("SELECT bar, close, volume FROM prices WHERE symbol = :symbol"
                            " ORDER BY bar")
    frames = {}
    with engine.connect() as connection:
        for name in names:
            rows = connection.execute(query, {"symbol": name}).fetchall()
            frames[name] = pandas.DataFrame([tuple(r) for r in rows],
                                            columns=["bar", "close", "volume"])
    return frames


def load_together(engine, names):
    """Mended: one query for all."""
    query = sqlalchemy.text("SELECT symbol, bar, close, volume FROM prices ORDER BY symbol, bar")
    with engine.connect() as connection:
        rows = connection.execute(query).fetchall()
    prices = pandas.DataFrame([tuple(r) for r in rows],
                              columns=["symbol", "bar", "close", "volume"])
    groups = dict(tuple(prices.groupby("symbol")))
    return {name: groups[name].reset_index(drop=True) for name in names}


def profit_per_row(frame, positions):
    """The mistake: a row at a time."""
    profit = 0.0
    before = None
    for i, row in frame.iterrows():
        if before is not None:
            profit += positions[int(i) - 1] * (row["close"] - before)
        before = row["close"]
    return profit


def profit_of_columns(frame, positions):
    """Mended: whole columns."""
    return float((frame["close"].diff().fillna(0) * pandas.Series(positions).shift(1).fillna(0))
                 .sum())


MISTAKES = {"query", "rows", "detector"}


def mistakes(text):
    """Names of mistakes, divided by commas."""
    names = set(text.split(","))
    if not names <= MISTAKES:
        raise argparse.ArgumentTypeError(f"'{text}': it has {', '.join(sorted(MISTAKES))}")
    return names


def choose_signals(mended):
    """The function that makes a frame's signals with the mistakes that are left."""
    if {"rows", "detector"} <= mended:
        return signals.signals_at_once
    if "rows" in mended:
        return signals.signals_per_close
    if "detector" in mended:
        return functools.partial(signals.signals_per_bar, one_detector=True)
    return signals.signals_per_bar


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--mended", nargs="?", type=mistakes, const=MISTAKES, default=set())
    parser.add_argument("--symbols", type=int, default=120)
    parser.add_argument("--bars", type=int, default=250)
    args = parser.parse_args()
    engine = sqlalchemy.create_engine("sqlite://")
    make_prices(engine, args.symbols, args.bars)
    names = [f"S{s:03}" for s in range(args.symbols)]
    load = load_together if "query" in args.mended else load_one_by_one
    find = choose_signals(args.mended)
    value = profit_of_columns if "rows" in args.mended else profit_per_row
    frames = load(engine, names)
    total = sum(value(frame, find(frame)) for frame in frames.values())
    print(f"bars {args.bars}")
    print(f"profit {total:.4f}")


if __name__ == "__main__":
    main()
