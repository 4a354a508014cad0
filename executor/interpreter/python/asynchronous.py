"""Runs coroutine functions over the rows of a batch, many at a time. Runs on CPython 3.9 and newer."""

import asyncio
import inspect

_loop = None


def loop():
    """The interpreter's one event loop."""
    global _loop
    if _loop is None:
        _loop = asyncio.new_event_loop()
        asyncio.set_event_loop(_loop)
    return _loop


def finish(value):
    """What an awaitable gives; anything else as it is."""
    return loop().run_until_complete(_wait(value)) if inspect.isawaitable(value) else value


async def _wait(value):
    return await value


def run(function, rows, columns, concurrency, timeout_ms, retries, keep_going):
    """Results in the order of rows, and the exceptions of rows that failed, by row.

    Unless it keeps going, the first failure cancels the rows that are still waiting.
    """
    calls = enumerate(zip(*columns)) if columns else enumerate(() for _ in range(rows))
    return loop().run_until_complete(_run(function, rows, calls, concurrency, timeout_ms, retries, keep_going))


async def _run(function, rows, calls, concurrency, timeout_ms, retries, keep_going):
    results, failures = [None] * rows, {}

    async def work():
        for row, arguments in calls:
            try:
                results[row] = await _call(function, arguments, timeout_ms, retries)
            except Exception as error:
                failures[row] = error
                if not keep_going:
                    return

    workers = [asyncio.ensure_future(work()) for _ in range(max(1, min(concurrency, rows)))]
    try:
        waiting = set(workers)
        while waiting and (keep_going or not failures):
            done, waiting = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
            for worker in done:
                worker.result()
    finally:
        for worker in workers:
            worker.cancel()
        await asyncio.gather(*workers, return_exceptions=True)
    return results, failures


async def _call(function, arguments, timeout_ms, retries):
    while True:
        try:
            value = function(*arguments)
            if not inspect.isawaitable(value):
                return value
            if not timeout_ms:
                return await value
            try:
                return await asyncio.wait_for(value, timeout_ms / 1000)
            except asyncio.TimeoutError:
                shown = ", ".join(map(repr, arguments))[:200]
                raise TimeoutError("the call with ({}) took longer than {} ms".format(shown, timeout_ms)) from None
        except Exception:
            if retries <= 0:
                raise
            retries -= 1
