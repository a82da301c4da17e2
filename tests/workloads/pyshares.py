#!/usr/bin/python3
"""CPU time spent in all kinds of Python code, and how much it was, as the thread's clock says:
pyshares.py RESULT [SECONDS]

RESULT gets lines of "FUNCTION NANOSECONDS"; a FUNCTION ending in :N is a line of its function."""

import asyncio
import collections
import multiprocessing
import sys
import threading
import time

spent = collections.Counter()


def leaf(n):
    total = 0
    for i in range(n):
        total += i & 7
    return total


def short(x):
    return x + 1


def many_short(n):
    total = 0
    for _ in range(n):
        total = short(total)
    return total


def recursive(n):
    return recursive(n - 1) + 1 if n else 0


def numbers(n):
    for i in range(n):
        yield i * i


def generated(n):
    total = 0
    for x in numbers(n):
        total += x
    return total


async def step(x):
    return x + 1


async def steps(n):
    total = 0
    for _ in range(n):
        total = await step(total)
    return total


def coroutines(n):
    return asyncio.run(steps(n))


def key(x):
    return -x


def sorting(n):
    return sorted(range(n), key=key)


def failing(n):
    caught = 0
    for i in range(n):
        try:
            raise KeyError(i)
        except KeyError:
            caught += 1
    return caught


def comprehension(n):
    return sum([i * 3 for i in range(n)])


SMALL = list(range(10000))
LARGE = list(range(30000))


def two_lines(n):
    for _ in range(n):
        sum(SMALL)  # one part
        sum(LARGE)  # three parts


PARTS = [(leaf, 30000), (many_short, 15000), (recursive, 400), (generated, 20000),
         (coroutines, 8000), (sorting, 12000), (failing, 5000), (comprehension, 40000),
         (two_lines, 6)]


def measured(seconds, into):
    end = time.thread_time() + seconds
    while time.thread_time() < end:
        for function, n in PARTS:
            start = time.thread_time_ns()
            function(n)
            into[function.__name__] += time.thread_time_ns() - start


def child(seconds, queue):
    mine = collections.Counter()
    measured(seconds, mine)
    queue.put(mine)


def main():
    seconds = float(sys.argv[2]) if len(sys.argv) > 2 else 4
    measured(seconds / 2, spent)
    threads = [threading.Thread(target=measured, args=(seconds / 8, spent)) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for method in "fork", "spawn":
        context = multiprocessing.get_context(method)
        queue = context.Queue()
        process = context.Process(target=child, args=(seconds / 8, queue))
        process.start()
        spent.update(queue.get())
        process.join()
    with open(sys.argv[1], "w", encoding="utf-8") as out:
        for name, ns in spent.items():
            out.write(f"{name} {ns}\n")


if __name__ == "__main__":
    main()
