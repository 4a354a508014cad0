"""Clients that use a fleet all the time, and observers; what they see goes to a recorder. See cluster_history for the events."""

from __future__ import annotations

import contextlib
import itertools
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import pyarrow as pa
from cluster_fleet import COORDINATORS, ClusterFleet
from cluster_history import ALWAYS_WORK, Event, Recorder, longest_gaps, violations
from cluster_programs import eventually

import udfleet
from udfleet import DataTypes, udf

BIGINT, STRING = DataTypes.BIGINT(), DataTypes.STRING()
_ROWS = 50
_PAUSE = 0.04
_REGISTER_PAUSE = 0.2
_OBSERVE_PAUSE = 0.1
_KEPT = 4
"""Functions that the registering client leaves registered behind it."""
_END_SECONDS = 90.0
_PROGRESS = ("stream", "call", "effect", "register")


def prepare(fleet: ClusterFleet) -> None:
    """Registers what the workload calls."""
    path = str(effects_path(fleet))

    def effect(row: str) -> int:
        with open(path, "a") as file:
            file.write(f"{row}\n")
        return len(row)

    with fleet.client() as client:
        client.register_function("double", udf(lambda a: 2 * a, BIGINT, BIGINT))
        client.register_function("effect", udf(effect, STRING, BIGINT, deterministic=False))
        # What a first call imports takes seconds on a busy machine, and would be measured with what comes later.
        client.call("double", [1])
        client.call("effect", ["first"])


def effects_path(fleet: ClusterFleet) -> Any:
    """Where the function that must run once says that it has run."""
    return fleet.effects / "rows"


class Workload:
    """Runs as long as the context lasts, and then checks the history. Names are new each time: `run`."""

    def __init__(self, fleet: ClusterFleet, run: str, strict: frozenset[str] = ALWAYS_WORK) -> None:
        self.fleet = fleet
        self.run = run
        self._strict = strict
        self.recorder = Recorder(fleet.folder / f"history-{run}.jsonl")
        self._stop = threading.Event()
        self._values: dict[str, int] = {}
        self._threads = [
            self._thread(self._stream, "routed-stream", False),
            self._thread(self._stream, "direct-stream", True),
            self._thread(self._calls, "routed-calls", False),
            self._thread(self._calls, "direct-calls", True),
            self._thread(self._effects, "routed-effects", False),
            self._thread(self._effects, "direct-effects", True),
            self._thread(self._registrations, "registrations"),
            *(self._thread(self._observe, f"observes-{name}", name) for name in COORDINATORS),
        ]

    def _thread(self, target: Callable[..., None], worker: str, *arguments: Any) -> threading.Thread:
        return threading.Thread(target=target, args=(worker, *arguments), name=worker, daemon=True)

    @property
    def events(self) -> list[Event]:
        """What has happened so far."""
        return list(self.recorder.events)

    def __enter__(self) -> Workload:
        for thread in self._threads:
            thread.start()
        self.goes_on()
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        self._stop.set()
        try:
            if kind is None:
                self._finish()
        finally:
            self.recorder.close()

    def _finish(self) -> None:
        end = time.monotonic() + _END_SECONDS
        for thread in self._threads:
            thread.join(max(0.0, end - time.monotonic()))
        hanging = [thread.name for thread in self._threads if thread.is_alive()]
        assert not hanging, f"these have not ended: {hanging}"
        self.fleet.wait_whole()
        self._settle()
        for name in COORDINATORS:
            self._final(name)
        effects = effects_path(self.fleet).read_text().split()
        found = violations(self.events, [row for row in effects if row.startswith(f"{self.run}-")], self._strict)
        assert not found, "\n".join([f"{len(found)} violations:", *found[:20]])
        gaps = longest_gaps(self.events, *_PROGRESS)
        print(f"{self.run}, longest times without success:", {worker: round(gap, 1) for worker, gap in gaps.items()})

    def _settle(self) -> None:
        """Waits until no registration is under way any more: one that has failed for its client may be finished."""

        def settled() -> bool:
            seen = [self.fleet.functions_at(name) for name in COORDINATORS]
            return (
                all(state == "READY" for states in seen for state in states.values())
                and len(set(map(frozenset, seen))) == 1
            )

        with contextlib.suppress(AssertionError):
            # What is not settled by then is told by the history.
            eventually("registrations are settled", settled, 30.0)

    def _final(self, coordinator: str) -> None:
        functions = self.fleet.functions_at(coordinator)
        calls = {}
        with self.fleet.client(coordinator, direct=False) as client:
            for name in {reference.partition("@")[0] for reference in functions} & set(self._values):
                try:
                    calls[name] = client.call(name, [1]).to_pylist() == [1 + self._values[name]]
                except udfleet.UdfleetError as error:
                    calls[name] = False
                    functions[f"{name}@failed"] = str(error)
        ours = {key: state for key, state in functions.items() if key.partition("@")[0] in self._values}
        self.recorder.add("final", coordinator=coordinator, functions=ours, calls=calls)

    def goes_on(self, without: tuple[str, ...] = (), times: int = 3, seconds: float = 60.0) -> None:
        """Waits until each client has got on from here: so many more successes each."""
        begin = len(self.recorder.events)
        workers = {each.name for each in self._threads if not each.name.startswith("observes-")}
        wanted = {worker for worker in workers if not any(word in worker for word in without)}

        def all_have() -> bool:
            news = self.recorder.events[begin:]
            succeeded = Counter(e["worker"] for e in news if e.get("event") in ("ok", "batch") and e["op"] in _PROGRESS)
            return all(succeeded[worker] >= times for worker in wanted)

        eventually(f"{', '.join(sorted(wanted))} go on", all_have, seconds)

    def refused(self, seconds: float = 60.0) -> Event:
        """Waits until a registration has failed from here on, and says how."""
        begin = len(self.recorder.events)

        def failed() -> Event | None:
            found = (e for e in self.recorder.events[begin:] if e["op"] == "register" and e["event"] == "failed")
            return next(found, None)

        found = eventually("a registration fails", failed, seconds)
        assert found is not None
        return found

    @contextlib.contextmanager
    def _operation(self, op: str, worker: str, number: int, **begin: Any) -> Iterator[dict[str, Any]]:
        """One operation, its begin and its outcome; what its body adds belongs to the outcome."""
        named = {"id": f"{self.run}-{worker}-{number}", "worker": worker}
        names = {key: begin[key] for key in ("name",) if key in begin}
        self.recorder.add(op, event="begin", **named, **begin)
        outcome: dict[str, Any] = {}
        try:
            yield outcome
        except udfleet.UdfleetError as error:
            told = {"error": f"{error.code}: {error.message}", "code": error.code, "retryable": error.retryable}
            self.recorder.add(op, event="failed", untouched=error.has_no_side_effects, **named, **names, **told)
        except BaseException as error:
            told = {"error": repr(error), "code": "", "retryable": False, "untouched": False}
            self.recorder.add(op, event="failed", **named, **names, **told)
            raise
        else:
            self.recorder.add(op, event="ok", **named, **names, **outcome)

    def _numbers(self) -> Iterator[int]:
        """Counts until the end, slowly."""
        for number in itertools.count():
            if self._stop.wait(_PAUSE):
                return
            yield number

    def _stream(self, worker: str, direct: bool) -> None:
        """One stream all the time; where it fails, the next."""
        with self.fleet.client(direct=direct) as client:
            for number in self._numbers():
                with self._operation("stream", worker, number) as outcome:
                    self._run_stream(client, worker, number, outcome)

    def _run_stream(self, client: udfleet.Fleet, worker: str, number: int, outcome: dict[str, Any]) -> None:
        sent = 0

        def batches() -> Iterator[pa.RecordBatch]:
            nonlocal sent
            for _ in self._numbers():
                batch = pa.record_batch({"a": pa.array(range(sent, sent + _ROWS), pa.int64())})
                sent += _ROWS
                yield batch

        for answer in client.stream("double", batches()):
            values = answer.column(0).to_pylist()
            first = values[0] // 2
            ordered = values == [2 * value for value in range(first, first + len(values))]
            event = {"id": f"{self.run}-{worker}-{number}", "worker": worker, "event": "batch"}
            self.recorder.add("stream", **event, first=first, rows=len(values), ordered=ordered)
        outcome["rows"] = sent

    def _calls(self, worker: str, direct: bool) -> None:
        with self.fleet.client(direct=direct) as client:
            for number in self._numbers():
                with self._operation("call", worker, number) as outcome:
                    outcome["right"] = client.call("double", [number, 7]).to_pylist() == [2 * number, 14]

    def _effects(self, worker: str, direct: bool) -> None:
        with self.fleet.client(direct=direct) as client:
            for number in self._numbers():
                rows = [f"{self.run}-{worker}-{number}-{index}" for index in range(3)]
                with self._operation("effect", worker, number, rows=rows):
                    client.call("effect", rows)

    def _registrations(self, worker: str) -> None:
        """Registers all the time, calls what it has registered through all coordinators, and drops what is old."""
        with self.fleet.client(direct=False) as client:
            for number in itertools.count():
                if self._stop.wait(_REGISTER_PAUSE):
                    return
                name = f"{self.run}_{number}"
                self._register(client, worker, number, name)
                old = f"{self.run}_{number - _KEPT}"
                if number >= _KEPT and number % _KEPT:
                    with self._operation("drop", worker, number, name=old):
                        self._drop(client, old)

    def _register(self, client: udfleet.Fleet, worker: str, number: int, name: str) -> None:
        self._values[name] = number
        registered = False
        with self._operation("register", worker, number, name=name) as outcome:
            view = client.register_function(name, udf(lambda a: a + number, BIGINT, BIGINT), timeout=30.0)
            outcome["reference"] = view.reference
            registered = True
        if registered:
            with self._operation("call", f"calls-after-{worker}", number) as outcome:
                outcome["right"] = client.call(name, [1]).to_pylist() == [1 + number]

    def _drop(self, client: udfleet.Fleet, name: str) -> None:
        with contextlib.suppress(udfleet.FunctionNotFoundError):
            client.drop_function(name)

    def _observe(self, worker: str, coordinator: str) -> None:
        while not self._stop.wait(_OBSERVE_PAUSE):
            term = self.fleet.term(coordinator)
            executors = self.fleet.executors_at(coordinator, seconds=1.0)
            self.recorder.add("seen", worker=worker, coordinator=coordinator, term=term, executors=executors)
