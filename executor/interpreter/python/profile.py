"""Samples what functions do, from a thread of its own. Runs on CPython 3.9 and newer."""

import os
import sys
import threading
import time

PERIOD_NS = 1_000_000
MAX_DEPTH = 128
MAX_STACKS = 10_000

_OWN = sys._getframe().f_code.co_filename


class Sampler:
    """Counts stacks of the thread that made it, while a profiled function runs there."""

    def __init__(self):
        self._thread = threading.get_ident()
        self._stacks = {}
        self._function = None
        self._base = None
        self._since = 0
        self._running = threading.Event()
        # Else a sample waits for 5 ms until the function lets go of the interpreter lock.
        sys.setswitchinterval(0.0001)
        threading.Thread(target=self._sample_for_ever, name="udfleet-profile", daemon=True).start()

    def enter(self, function):
        """From here on the time is this function's."""
        self._base = sys._getframe(1) if sys._getframe().f_back is not None else None
        self._since = time.perf_counter_ns()
        self._function = function
        self._running.set()

    def leave(self):
        """No profiled function runs."""
        self._function = None
        self._running.clear()
        self._base = None

    def stacks(self, function):
        """Pairs of stack and samples, each of PERIOD_NS."""
        return list(self._stacks.get(function, {}).items())

    def forget(self, function):
        """Drops what is known of a function."""
        self._stacks.pop(function, None)

    def _sample_for_ever(self):
        while True:
            self._running.wait()
            time.sleep(PERIOD_NS / 1e9)
            function = self._function
            frame = sys._current_frames().get(self._thread)
            if function is None or frame is None:
                continue
            # A call into C keeps samples waiting: what is taken then stands for all that time.
            now = time.perf_counter_ns()
            samples = (now - self._since + PERIOD_NS // 2) // PERIOD_NS
            stack = self._describe(frame)
            if samples < 1 or not stack:
                continue
            self._since = now
            counts = self._stacks.setdefault(function, {})
            if stack not in counts and len(counts) >= MAX_STACKS:
                stack = "(other)"
            counts[stack] = counts.get(stack, 0) + samples

    def _describe(self, frame):
        frames, base = [], self._base
        while frame is not None and frame.f_code.co_filename == _OWN:
            # It has just been entered, or is about to be left.
            frame = frame.f_back
        while frame is not None and frame is not base:
            code = frame.f_code
            text = "{}:{}:{}".format(os.path.basename(code.co_filename), code.co_name, frame.f_lineno or 0)
            frames.append(text.replace(";", ","))
            frame = frame.f_back
        if len(frames) > MAX_DEPTH:
            # The outermost and the innermost tell most.
            half = MAX_DEPTH // 2
            frames = frames[:half] + ["..."] + frames[-half:]
        return ";".join(reversed(frames))
