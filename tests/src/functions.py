import os
import time


def add(a, b):
    return None if a is None or b is None else a + b


def double(a):
    return 2 * a


def echo(a):
    return a


def length(text):
    return None if text is None else len(text)


def seven():
    return 7


def first(*columns):
    return columns[0]


def fail(a):
    raise ValueError(f"no {a}")


def uneven(a):
    """Takes longer for some rows than for others."""
    time.sleep((a * 7919 % 13) / 1000)
    return a


def nap(milliseconds):
    time.sleep(milliseconds / 1000)
    return milliseconds


def wait(gate):
    """Says that it runs, then waits until the gate is opened: see gate.rs."""
    with open(gate + ".entered", "a") as entered:
        entered.write(f"{os.getpid()}\n")
    while not os.path.exists(gate + ".open"):
        time.sleep(0.005)
    return 1
