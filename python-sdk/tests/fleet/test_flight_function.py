"""Functions called by their address alone, as engines' workers do: their streams end, what they call stays the same."""

from __future__ import annotations

import os
import pickle
import signal
import threading
import time

import pyarrow as pa
import pytest
from fleet_support import BIGINT, eventually, failure_of

import udfleet
from udfleet import udf
from udfleet._flight import silence
from udfleet.engines import _flight_function, _flight_stream
from udfleet.engines._flight_function import FlightFunction

BATCH = pa.record_batch({"a": pa.array([1, None, 3])})


@pytest.fixture(scope="module")
def pair():
    with udfleet.local(executors=2, interpreters=1) as fleet:
        fleet.register_function("same", udf(lambda a: a, BIGINT, BIGINT))
        yield fleet


@pytest.fixture
def same(pair):
    function = resolved(pair, "same")
    yield function
    function.close()


@pytest.fixture
def opened(monkeypatch):
    """The streams that were opened. They are used for a moment only."""
    streams = []

    class Noted(_flight_stream.Stream):
        def __init__(self, client, descriptor, *arguments):
            super().__init__(client, descriptor, *arguments)
            self.name = descriptor.path[0].decode()
            streams.append(self)

    monkeypatch.setattr(_flight_function, "Stream", Noted)
    monkeypatch.setattr(_flight_stream, "STREAM_SECONDS", 0.1)
    return streams


def resolved(fleet, name):
    function = FlightFunction(fleet.address, name, fleet.token)
    function.resolve()
    return function


class Calling:
    """A job that calls a function all the time, and notices what is wrong."""

    def __init__(self, function):
        self.function = function
        self.calls = 0
        self.failures = []
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._stop.set()
        self._thread.join(60)

    def _run(self):
        try:
            while not self._stop.is_set():
                assert self.function.call(BATCH).to_pylist() == [1, None, 3]
                self.calls += 1
        except BaseException as error:
            self.failures.append(error)

    def eventually(self, what, check):
        eventually(what, lambda: self.failures or check())
        assert not self.failures

    def goes_on(self):
        before = self.calls
        self.eventually("calls go on", lambda: self.calls > before + 100)


def state_of(fleet, executor):
    return {view.id: view.state for view in fleet.executors()}[executor]


def calls_on(fleet, executor):
    counters = fleet.progress("same").executors.get(executor)
    return counters.calls if counters else 0


def test_a_drained_executor_is_left_by_a_job_that_goes_on_and_found_when_it_is_back(pair, same, opened):
    with Calling(same) as job:
        for executor in ("executor-1", "executor-2"):
            job.eventually("works", lambda id=executor: calls_on(pair, id))
            pair.drain(executor)
            job.eventually("drained", lambda id=executor: state_of(pair, id) == "drained")
            job.goes_on()
            before = calls_on(pair, executor)
            pair.drain(executor, undo=True)
            job.eventually("works again", lambda id=executor, before=before: calls_on(pair, id) > before)
    assert not job.failures and job.calls > len(opened)


def test_a_drained_executor_is_left_by_a_job_without_rows(pair, same, opened):
    assert same.call(BATCH).to_pylist() == [1, None, 3]
    for executor in ("executor-1", "executor-2"):
        pair.drain(executor)
        eventually("drained", lambda id=executor: state_of(pair, id) == "drained")
        pair.drain(executor, undo=True)
        eventually("back", lambda id=executor: state_of(pair, id) == "ready")
    assert len(opened) == 1
    assert same.call(BATCH).to_pylist() == [1, None, 3]


def test_a_stream_ends_when_its_call_has_that_takes_longer(pair, opened, tmp_path):
    def waits(a, gate):
        while not os.path.exists(gate):
            time.sleep(0.01)
        return a

    pair.register_function("waits", udf(waits, [BIGINT, udfleet.DataTypes.STRING()], BIGINT))
    function = resolved(pair, "waits")
    gate = tmp_path / "gate"
    batch = pa.record_batch({"a": pa.array([7]), "gate": pa.array([str(gate)])})
    answers = []
    call = threading.Thread(target=lambda: answers.append(function.call(batch).to_pylist()))
    call.start()
    try:
        eventually("its time is over", lambda: opened and opened[0].over)
    finally:
        gate.touch()
        call.join(60)
    assert answers == [[7]] and function._idle is None and len(opened) == 1


def test_a_name_keeps_its_version_and_a_copy_of_it_does(pair, opened):
    pair.register_function("changing", udf(lambda a: a, BIGINT, BIGINT))
    function = resolved(pair, "changing")
    assert function.call(BATCH).to_pylist() == [1, None, 3]
    pair.register_function("changing", udf(lambda a: None, BIGINT, BIGINT))
    eventually("its stream has ended", lambda: function._idle is None)
    assert function.call(BATCH).to_pylist() == [1, None, 3]
    assert pickle.loads(pickle.dumps(function)).call(BATCH).to_pylist() == [1, None, 3]
    assert {stream.name for stream in opened} == {"changing@1"}
    assert resolved(pair, "changing").call(BATCH).to_pylist() == [None] * 3


def test_executors_serve_while_their_coordinator_is_away(opened):
    with udfleet.local(executors=1, interpreters=1) as fleet:
        fleet.register_function("same", udf(lambda a: a, BIGINT, BIGINT))
        with Calling(resolved(fleet, "same")) as job:
            job.goes_on()
            os.kill(fleet.pids["coordinator"], signal.SIGKILL)
            before = len(opened)
            job.eventually("streams follow one another", lambda: len(opened) > before + 3)
            job.goes_on()


@pytest.mark.parametrize("direct", [True, False])
def test_a_call_that_takes_longer_than_a_peer_may_be_silent(pair, monkeypatch, direct):
    """Coordinators and executors say that they are at work; without that the stream would be given up."""
    monkeypatch.setattr(silence, "LOOK_SECONDS", 0.2)
    monkeypatch.setattr(silence, "LOOKS", 10)
    monkeypatch.setattr(silence, "_watching", [])

    def rests(a):
        time.sleep(2 * 0.2 * 10)
        return a

    pair.register_function("rests", udf(rests, BIGINT, BIGINT))
    function = FlightFunction(pair.address, "rests", pair.token, direct=direct, repeatable=False)
    assert function.call(pa.record_batch({"a": [7]})).to_pylist() == [7]
    function.close()


def test_wrong_addresses_tokens_and_names_are_told(pair, monkeypatch):
    monkeypatch.delenv("UDFLEET_TOKEN", raising=False)
    error = failure_of(udfleet.InvalidInputError, FlightFunction, "coordinator:http", "same")
    assert error.function == "same" and "host:port" in error.hint
    for arguments, kind, why, hint in [
        (("127.0.0.1:1", "same"), udfleet.UnreachableError, "no answer from 127.0.0.1:1", "is the fleet running"),
        ((pair.address, "same"), udfleet.UnauthenticatedError, "the call carries no token", "UDFLEET_TOKEN"),
        ((pair.address, "same", "x"), udfleet.UnauthenticatedError, "the token is wrong", "pass token="),
        ((pair.address, "sam", pair.token), udfleet.FunctionNotFoundError, "no function sam", "same"),
        ((pair.http_address, "same"), udfleet.InternalError, f"{pair.http_address} answered", "gRPC address"),
    ]:
        function = FlightFunction(*arguments)
        error = failure_of(kind, function.resolve)
        assert why in error.message and hint in error.hint and function.name in str(error)
        if kind is not udfleet.FunctionNotFoundError:
            assert failure_of(kind, function.call, BATCH).message == error.message


def test_what_a_function_raises_is_told(pair):
    pair.register_function("picky", udf(lambda a: 1 // a, BIGINT, BIGINT))
    error = failure_of(udfleet.UserCodeError, resolved(pair, "picky").call, pa.record_batch({"a": [1, 0]}))
    assert (error.function, error.row) == ("picky@1", 1) and "ZeroDivisionError" in error.message


def test_a_version_is_asked_for_where_nobody_serves_the_function():
    with udfleet.local(executors=1, interpreters=1) as fleet:
        fleet.register_function("same", udf(lambda a: a, BIGINT, BIGINT))
        fleet.drain("executor-1")
        eventually("nobody serves it", lambda: state_of(fleet, "executor-1") == "drained")
        error = failure_of(udfleet.NoCapacityError, resolved, fleet, "same")
        assert "no executor serves it now" in error.message and "same@1" in error.hint
        assert resolved(fleet, "same@1").name == "same@1"
