"""Two threads, each a third of its time in one function and two thirds in another. They execute the script
that somebody who attaches asks for, as those of a CPython 3.14 do (remote_runtime.c), unless they are to
be deaf; or the main thread sleeps; or it goes on to execute programs, and says how many of them fail.

pyremote.py LIBRARY SECONDS [forbid|deaf|fork|sleep|exec]"""

import ctypes
import os
import sys
import threading
import time


def work(rounds):
    total = 0
    for i in range(rounds):
        total += i * i
    return total


def third():
    return work(1000)


def two_thirds():
    return work(2000)


def answer(is_main):
    script = RUNTIME.remote_asked(is_main)
    if script and MODE != "deaf":
        with open(script) as file:
            exec(compile(file.read(), script.decode(), "exec"), {})


def loop(is_main, end):
    while time.time() < end:
        third()
        two_thirds()
        answer(is_main)


MODE = sys.argv[3] if len(sys.argv) > 3 else ""
RUNTIME = ctypes.CDLL(sys.argv[1])
RUNTIME.remote_asked.restype = ctypes.c_char_p
if MODE == "forbid":
    RUNTIME.remote_forbid()
FINISH = time.time() + float(sys.argv[2])
BEFORE = threading.Thread(target=loop, args=(False, FINISH))
BEFORE.start()
print("ready", flush=True)
if MODE == "fork":
    loop(True, time.time() + 1.5)
    if os.fork() == 0:
        loop(True, FINISH)
        os._exit(0)
if MODE == "exec":
    loop(True, time.time() + 1)
    for program in range(100):
        if os.fork() == 0:
            work(50000)
            os.execv("/bin/true", ["true"])
        failed = os.wait()[1]
        print("failed" if failed else "executed", flush=True)
if MODE != "sleep":
    loop(True, FINISH)
BEFORE.join()
