"""A coordinator goes away under what a client does: another address of the fleet goes on with it.

The addresses are proxies of one coordinator, so that each can be killed by itself.
"""

from __future__ import annotations

import contextlib
import json
import os
import pickle
import signal
import socket
import subprocess
import sys
import threading

import pyarrow as pa
import pytest
from fleet_support import BIGINT, STRING, Sum, batches, client_process, eventually, failure_of
from tcp_proxy import TcpProxy

import udfleet
from udfleet import udaf, udf
from udfleet._client.runner import Batches
from udfleet.engines._flight_function import FlightFunction

BATCHES, ROWS = 200, 100


@pytest.fixture(scope="module")
def served():
    with udfleet.local(executors=2, interpreters=1) as fleet:
        fleet.register_function("plus", udf(lambda a: a + 1, BIGINT, BIGINT))
        fleet.register_function("once", udf(lambda a: a + 1, BIGINT, BIGINT, deterministic=False))
        fleet.register_function("total", udaf(Sum(), BIGINT, BIGINT))
        yield fleet


@pytest.fixture
def two(served):
    """Two addresses."""
    with TcpProxy(served.address) as first, TcpProxy(served.address) as second:
        yield first, second


@contextlib.contextmanager
def connected(served, proxies, learns=False, **options):
    """A client that knows these addresses and, unless it learns, no other."""
    with udfleet.connect([proxy.address for proxy in proxies], served.token, **options) as fleet:
        if not learns:
            fleet._rpc.coordinators.learn = lambda *_: None
            fleet._rpc.coordinators._learned = ()
        yield fleet


def dead_address():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return f"127.0.0.1:{free.getsockname()[1]}"


def test_an_address_where_nobody_listens_is_passed_over(served, two):
    with udfleet.connect(f"{dead_address()},{two[0].address}", served.token) as fleet:
        assert fleet.call("plus", [1]).to_pylist() == [2]
        for _ in range(20):
            fleet.functions()
    assert two[0].connections == 1


def test_the_others_are_learned(served, two):
    with connected(served, two[:1], learns=True) as fleet:
        assert fleet.coordinators == (two[0].address, served.address)
        two[0].kill()
        assert {view.name for view in fleet.functions()} >= {"plus", "total"}
        assert fleet.call("plus", [1]).to_pylist() == [2]


def test_questions_go_to_the_other_which_stays(served, two):
    with connected(served, two) as fleet:
        fleet.functions()
        two[0].kill()
        assert {view.name for view in fleet.functions()} >= {"plus", "total"}
        assert fleet.executors() and fleet.progress() and fleet.row_errors() == []
        assert fleet.function("plus").reference == "plus@1"
        assert fleet.call("plus", [1]).to_pylist() == [2]
        two[1].kill()
        error = failure_of(udfleet.UnreachableError, fleet.functions)
        assert error.retryable and all(proxy.address in error.message for proxy in two)


@pytest.mark.parametrize("kills", [1, 2], ids=["one", "both in turn"])
def test_a_routed_stream_is_complete_and_in_order(served, two, kills):
    with TcpProxy(served.address) as third:
        proxies = [*two, third]
        with connected(served, proxies, direct=False) as fleet:
            got = []
            for answer in fleet.stream("plus", batches(BATCHES, ROWS)):
                got += answer.column(0).to_pylist()
                for number in range(kills):
                    if len(got) == ROWS * (50 + 40 * number):
                        proxies[number].kill()
            assert got == list(range(1, BATCHES * ROWS + 1))
            assert [proxy.connections > 0 for proxy in proxies] == [True, True, kills == 2]


def test_what_is_to_run_once_is_not_sent_again(served, two):
    with connected(served, two, direct=False) as fleet:
        stream = fleet.stream("once", batches(BATCHES, ROWS))
        for _ in range(20):
            next(stream)
        two[0].kill()
        assert failure_of(udfleet.ExecutorLostError, list, stream).attempt == 1
        assert fleet.call("once", [1]).to_pylist() == [2]


def test_an_aggregate_begins_anew(served, two, monkeypatch):
    runs = 0

    def given():
        nonlocal runs
        runs += 1
        for index, batch in enumerate(batches(50, ROWS)):
            if (runs, index) == (1, 25):
                two[0].kill()
            yield batch

    # Such as a table gives again and again.
    monkeypatch.setattr("udfleet._client.fleet.Batches.of", lambda _: Batches(given, True))
    with connected(served, two, direct=False) as fleet:
        (answer,) = fleet.stream("total", [])
        assert answer.column(0).to_pylist() == [sum(range(50 * ROWS))]
    assert runs == 2 and two[1].connections


def test_a_registration_goes_on_and_registers_once(served, two, tmp_path):
    opened, go_on = tmp_path / "opened", tmp_path / "go on"

    class Waits(udfleet.ScalarFunction):
        def open(self, context):
            import time
            from pathlib import Path

            Path(str(opened)).touch()
            while not Path(str(go_on)).exists():
                time.sleep(0.01)

        def eval(self, a):
            return a + 1

    with connected(served, two) as fleet:
        views = []
        registration = threading.Thread(
            target=lambda: views.append(fleet.register_function("waits", udf(Waits(), BIGINT, BIGINT)))
        )
        registration.start()
        eventually("it is loaded", opened.exists)
        two[0].kill()
        eventually("the other is asked", lambda: two[1].connections)
        go_on.touch()
        registration.join(60)
        assert [view.reference for view in views] == ["waits@1"]
        assert [f.reference for f in fleet.functions(all_versions=True) if f.name == "waits"] == ["waits@1"]
        assert fleet.call("waits", [1]).to_pylist() == [2]
        two[1].kill()
    served.drop_function("waits")


def test_a_drop_whose_answer_is_lost_has_happened(served, two):
    served.register_function("dropped", udf(lambda a: a, BIGINT, BIGINT))
    with connected(served, two) as fleet:
        wait, lost = fleet._rpc._wait, []

        def lose_the_first(call, address):
            answer = wait(call, address)
            if not lost:
                lost.append(address)
                raise udfleet.UnreachableError("the connection broke")
            return answer

        fleet._rpc._wait = lose_the_first
        assert fleet.drop_function("dropped") == ["dropped"]
        assert lost
        failure_of(udfleet.FunctionNotFoundError, fleet.drop_function, "dropped")


def test_followed_lines_come_once_each(served, two):
    served.register_function("says", udf(lambda word: print(word) or len(word), STRING, BIGINT))
    command = [sys.executable, "-m", "udfleet", "--address", ",".join(proxy.address for proxy in two)]
    command += ["logs", "says", "--follow", "--json"]
    with client_process(served, command, stderr=subprocess.PIPE) as running:
        lines: list[str] = []
        reader = threading.Thread(target=lambda: lines.extend(iter(running.stdout.readline, "")))
        reader.start()

        def texts():
            return [json.loads(line)["text"] for line in lines]

        words = [f"word {number}" for number in range(30)]
        for word in words[:10]:
            served.call("says", [word])
        eventually("it follows", lambda: len(texts()) >= 10)
        two[0].kill()
        for word in words[10:20]:
            served.call("says", [word])
        eventually("the other goes on", lambda: words[19] in texts())
        for word in words[20:]:
            served.call("says", [word])
        eventually("and on", lambda: words[-1] in texts())
        assert sorted(texts()) == sorted(words)
        running.send_signal(signal.SIGINT)
        assert running.wait(20) == 130
        reader.join()
    served.drop_function("says")


@pytest.mark.parametrize("direct", [True, False])
def test_engines_workers(served, two, direct):
    """As Flink's: by addresses alone."""
    made = FlightFunction(",".join([dead_address(), *(proxy.address for proxy in two)]), "plus", served.token, direct)
    made.resolve()
    function = pickle.loads(pickle.dumps(made))
    batch = pa.record_batch({"a": [1, 2]})
    assert function.call(batch).to_pylist() == [2, 3]
    two[0].kill()
    assert function.call(batch).to_pylist() == [2, 3]
    function.close()
    assert function.call(batch).to_pylist() == [2, 3]
    assert two[1].connections
    function.close()


def test_spark_workers_get_all_addresses(served, two):
    with connected(served, two) as fleet:
        settings = pickle.loads(pickle.dumps(fleet._settings))
        two[0].kill()
        worker = settings.fleet()
        assert worker.call("plus", [1]).to_pylist() == [2]
        worker.close()


def test_the_command_line_takes_a_list(served, two):
    address = f"{dead_address()}, {two[0].address}"
    environment = {**os.environ, "UDFLEET_ADDRESS": address, "UDFLEET_TOKEN": served.token or ""}
    command = [sys.executable, "-m", "udfleet", "call", "plus", "--arg", "1"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout) == (0, "2\n"), done.stderr
