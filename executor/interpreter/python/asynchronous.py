"""Runs coroutine functions over the rows of a batch, many at a time. Runs on CPython 3.9 and newer."""

import asyncio
import inspect
import os

_loop = None
_forked = False


def _note_fork():
    global _forked
    _forked = True


os.register_at_fork(after_in_child=_note_fork)


def loop():
    """The interpreter's one event loop."""
    global _loop
    if _loop is None:
        _loop = asyncio.new_event_loop()
        asyncio.set_event_loop(_loop)
    return _loop


def finish(value):
    """What an awaitable gives; anything else as it is."""
    return _complete(_wait(value)) if inspect.isawaitable(value) else value


async def _wait(value):
    return await value


def _complete(coroutine):
    try:
        return loop().run_until_complete(coroutine)
    except BaseException:
        # An exit or interrupt within a task of the user's leaves the loop at once: nothing may go on in a later call.
        _cancel_all()
        raise


def _cancel_all():
    tasks = asyncio.all_tasks(loop())
    for task in tasks:
        task.cancel()
    if tasks:
        loop().run_until_complete(asyncio.gather(*tasks, return_exceptions=True))


def run(function, rows, columns, limits, keep_going):
    """Results in the order of rows, and the exceptions of rows that failed, by row.

    The limits are the concurrency, the timeout in milliseconds, the retries and the milliseconds before each.

    Unless it keeps going, the first failure cancels the rows that are still waiting; what is no Exception always does.
    """
    calls = enumerate(zip(*columns)) if columns else enumerate(() for _ in range(rows))
    return _complete(_run(function, rows, calls, limits, keep_going))


async def _run(function, rows, calls, limits, keep_going):
    concurrency, *attempts = limits
    results, failures = [None] * rows, {}
    ending = False

    async def work():
        nonlocal ending
        for row, arguments in calls:
            try:
                results[row] = await _call(function, arguments, *attempts)
            except BaseException as error:
                if ending and isinstance(error, (asyncio.CancelledError, GeneratorExit)):
                    raise
                failures[row] = error
                if not keep_going or not isinstance(error, Exception):
                    ending = True
                    return

    workers = [asyncio.ensure_future(work()) for _ in range(max(1, min(concurrency, rows)))]
    try:
        waiting = set(workers)
        while waiting and not ending:
            done, waiting = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
            for worker in done:
                worker.result()
    finally:
        ending = True
        for worker in workers:
            worker.cancel()
        await asyncio.gather(*workers, return_exceptions=True)
    return results, failures


async def _call(function, arguments, timeout_ms, retries, retry_delay_ms):
    """The value for a row, within its time, which counts for all attempts together."""
    attempts = _attempts(function, arguments, retries, retry_delay_ms)
    return await (_within(attempts, arguments, timeout_ms) if timeout_ms else attempts)


async def _attempts(function, arguments, retries, retry_delay_ms):
    while True:
        try:
            value = function(*arguments)
            if inspect.isawaitable(value):
                value = await value
            if _forked:
                end_child(None)
            return value
        except BaseException as error:
            if _forked:
                end_child(error)
            if retries <= 0 or not isinstance(error, Exception):
                raise
            retries -= 1
        if retry_delay_ms:
            await asyncio.sleep(retry_delay_ms / 1000)


async def _within(value, arguments, timeout_ms):
    try:
        return _opened(await asyncio.wait_for(_closed(value), timeout_ms / 1000))
    except asyncio.TimeoutError:
        # PyFlink's words, then the limit.
        shown = ", ".join(map(repr, arguments))[:200]
        message = "Async function call has timed out for input: [{}], which took longer than {} ms"
        raise TimeoutError(message.format(shown, timeout_ms)) from None


class _Raised:
    def __init__(self, error):
        self.error = error


async def _closed(value):
    # Older CPythons wait in a task, out of which these two would leave the loop.
    try:
        return await value
    except (SystemExit, KeyboardInterrupt) as error:
        return _Raised(error)


def _opened(value):
    if isinstance(value, _Raised):
        raise value.error
    return value
