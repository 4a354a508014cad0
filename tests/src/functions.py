import os
import time

from udfleet import AggregateFunction, ScalarFunction


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


def wait_and_fail(gate):
    """Waits until the gate is opened, then raises."""
    wait(gate)
    raise ValueError("after the gate")


def spread(count):
    """0 to count - 1."""
    yield from range(count)


def endless(marker):
    """Rows without end; says when it is closed."""
    try:
        number = 0
        while True:
            yield number
            number += 1
    finally:
        with open(marker + ".closed", "w"):
            pass


def stumble(marker, count):
    """0 to count - 1; ends its process before the last, the first time."""
    for number in range(count):
        if number == count - 1 and not os.path.exists(marker):
            with open(marker, "w"):
                os._exit(3)
        yield number


def random_walk(gate, marker, count):
    """One row once the gate is open; without a gate as `stumble`, and never the same rows again."""
    if gate:
        yield wait(gate)
        return
    first = int.from_bytes(os.urandom(5), "big")
    for number in stumble(marker, count):
        yield first + number


def break_off(count):
    """0 to count - 1, then an exception."""
    yield from range(count)
    raise ValueError(f"after {count}")


class Held:
    """A sum; says when it is forgotten."""

    def __init__(self):
        self.sum = 0
        self.marker = None

    def __del__(self):
        if self.marker:
            with open(self.marker + ".forgotten", "w"):
                pass


class Total(AggregateFunction):
    def create_accumulator(self):
        return Held()

    def accumulate(self, accumulator, value, marker=None):
        if value == 13:
            os._exit(3)
        accumulator.sum += value
        accumulator.marker = marker

    def get_value(self, accumulator):
        return accumulator.sum


total = Total()


class Counting(ScalarFunction):
    """Gives its argument back; counts rows, and ends its process at 13."""

    def open(self, function_context):
        group = function_context.get_metric_group()
        self.rows = group.counter("rows")
        self.values = group.add_group("kind", "input").histogram("values")

    def eval(self, value):
        if value == 13:
            os._exit(3)
        self.rows.inc()
        self.values.update(value)
        return value


counting = Counting()


def odd_only(value):
    if value % 2 == 0:
        raise ValueError(f"{value} is even")
    return value


def twice(text, count):
    """Rows of two columns."""
    for number in range(count):
        yield text, number


def slow_if_negative(value):
    if value < 0:
        time.sleep(60)
    return value


def say(word):
    print("said", word, flush=True)
    return len(word)


def print_line_ends(mebibytes):
    """Only line ends, on stderr."""
    for _ in range(mebibytes):
        os.write(2, b"\n" * (1 << 20))
    os.write(2, b"the end\n")
    return mebibytes
