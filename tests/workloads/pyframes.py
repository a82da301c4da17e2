#!/usr/bin/python3
"""Touch fresh pages from all kinds of Python code, and write down the stack of each touch, as the
interpreter itself reports it: pyframes.py EXPECTED [PAGES]

Under `page-faults@1` each touch is one sample, so that stacks and counts have to be the same."""

import asyncio
import collections
import functools
import mmap
import operator
import sys
import threading

PAGE = mmap.PAGESIZE
with open(__file__, encoding="utf-8") as source:
    TOUCHING = 1 + [line.endswith("# the fault\n") for line in source].index(True)
expected = collections.Counter()
lock = threading.Lock()


class Memory:
    """Pages that nothing has touched yet."""

    def __init__(self, pages):
        self.map = mmap.mmap(-1, pages * PAGE)
        # A huge page would be one fault for all.
        if hasattr(mmap, "MADV_NOHUGEPAGE"):
            self.map.madvise(mmap.MADV_NOHUGEPAGE)
        self.pages = pages
        self.next = 0

    def take(self):
        with lock:
            page = self.next
            self.next += 1
        return page * PAGE


def label(frame, line=None):
    code = frame.f_code
    name = getattr(code, "co_qualname", code.co_name)
    return f"{name} ({code.co_filename.rsplit('/', 1)[-1]}:{line or frame.f_lineno})"


def touch(value=0):
    frame = sys._getframe()
    at = memory.take()
    stack = [label(frame, TOUCHING)]
    while frame.f_back:
        frame = frame.f_back
        stack.append(label(frame))
    with lock:
        expected[";".join(reversed(stack))] += 1
    memory.map[at] = 1  # the fault
    return value


def recursion(depth):
    if depth == 0:
        return touch()
    return recursion(depth - 1) + 1


def generator():
    for i in range(3):
        yield touch(i)


def delegating():
    yield from generator()
    yield touch()


async def coroutine(depth):
    if depth:
        await asyncio.sleep(0)
        return await coroutine(depth - 1)
    return touch()


async def gathered():
    await asyncio.gather(coroutine(2), coroutine(3))


def callbacks():
    sorted(range(4), key=touch)
    sorted(range(4), key=lambda x: touch(-x))
    list(map(touch, range(3)))
    list(filter(lambda x: touch(x) > 1, range(3)))
    functools.reduce(lambda a, b: touch(a + b), range(4))
    max([1, 2, 3], key=functools.partial(touch))


def comprehensions():
    a = [touch(i) for i in range(2)]
    b = {touch(i) for i in range(2)}
    c = {i: touch(i) for i in range(2)}
    d = sum(touch(i) for i in range(2))
    e = [[touch(i + j) for i in range(2)] for j in range(2)]
    return a, b, c, d, e


class Failing:
    def __enter__(self):
        touch()
        return self

    def __exit__(self, *exc):
        touch()
        return True


def exceptions():
    try:
        touch()
        raise KeyError(1)
    except KeyError:
        touch()
    finally:
        touch()
    with Failing():
        raise ValueError
    try:
        list(map(lambda x: 1 / (touch(x)), range(2)))
    except ZeroDivisionError:
        touch()


class Attributes:
    def __init__(self):
        self.value = touch()

    def __getattr__(self, name):
        return touch(name)

    def __lt__(self, other):
        return touch(False)

    def __iter__(self):
        return iter([touch(1)])

    def __call__(self):
        return touch()

    def __repr__(self):
        return touch("x")

    @property
    def computed(self):
        return touch()

    @classmethod
    def made(cls):
        touch()
        return cls()

    @staticmethod
    def plain():
        return touch()


class Child(Attributes):
    def __init__(self):
        super().__init__()
        touch()


def objects():
    one = Attributes()
    two = Attributes.made()
    three = Child()
    sorted([one, two])
    list(one)
    one()
    repr(one)
    str([one, two])
    one.missing
    one.computed
    operator.attrgetter("computed")(two)
    three.plain()
    type("Dynamic", (Attributes,), {"extra": touch()})().extra
    namespace = {"touch": touch}
    exec("def made_here():\n    return touch()\nmade_here()", namespace)
    eval("touch()", namespace)


def decorated(function):
    @functools.wraps(function)
    def wrapper(*args, **kwargs):
        touch()
        return function(*args, **kwargs)

    return wrapper


@decorated
@functools.lru_cache(maxsize=None)
def cached(x):
    return touch(x)


def everything():
    recursion(0)
    recursion(40)
    list(generator())
    list(delegating())
    asyncio.run(gathered())
    callbacks()
    comprehensions()
    exceptions()
    objects()
    cached(1)
    cached(1)


def in_thread():
    for _ in range(3):
        everything()


memory = Memory(int(sys.argv[2]) if len(sys.argv) > 2 else 20000)
everything()
threads = [threading.Thread(target=in_thread) for _ in range(3)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
everything()
with open(sys.argv[1], "w", encoding="utf-8") as out:
    for stack, count in sorted(expected.items()):
        out.write(f"{stack} {count}\n")
