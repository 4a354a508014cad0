"""Which coordinator is asked: addresses as people write them, who is preferred, and what goes to another."""

from __future__ import annotations

import pickle
import re

import pytest

import udfleet
from udfleet._address import addresses
from udfleet._client.connection_settings import ConnectionSettings
from udfleet._coordinators import Attempts, Coordinators
from udfleet._log_position import LogPosition
from udfleet._proto.udfleet.v1 import cluster_pb2
from udfleet.engines._flight_function import FlightFunction
from udfleet.errors import ForkedProcessError, NoCapacityError, UnreachableError, UserCodeError


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("host", ("host:8815",)),
        (" b:2 , a:1,b:2", ("b:2", "a:1")),
        ("host,host:8815,grpc://host", ("host:8815",)),
        ("[::1]:7,[fe80::1],::1", ("[::1]:7", "[fe80::1]:8815", "[::1]:8815")),
        (["b:2", "a"], ("b:2", "a:8815")),
        (("a:1",), ("a:1",)),
    ],
)
def test_addresses(given, expected):
    assert addresses(given) == expected
    assert FlightFunction(given, "f").address == ",".join(expected)


@pytest.mark.parametrize(
    ("given", "named"),
    [
        ("", "''"),
        ([], "[]"),
        ("a:1,,b:2", "address 2 of 3"),
        ("a:1,", "address 2 of 2"),
        (["a:1", " "], "address 2 of 2"),
        ("a:1,b:", "'b:'"),
        ("a:1,b:70000", "'b:70000'"),
        ("a:1,b c:1", "'b c:1'"),
        (["a:1,b:2"], "'a:1,b:2'"),
        (["a:1", 7], "7"),
        ({"a": 1}, "{'a': 1}"),
    ],
)
def test_the_part_that_is_no_address_is_named(given, named):
    with pytest.raises(udfleet.InvalidInputError, match=re.escape(named)):
        udfleet.connect(given)


def test_who_answers_stays_preferred():
    coordinators = Coordinators(["a:1", "b:1", "c:1"])
    assert coordinators.order() == ["a:1", "b:1", "c:1"]
    coordinators.failed("a:1")
    assert coordinators.order() == ["b:1", "c:1", "a:1"]
    coordinators.answered("c:1")
    assert coordinators.order() == ["c:1", "b:1", "a:1"]
    # Somebody's call of before: it changes nothing.
    coordinators.failed("a:1")
    assert coordinators.preferred == "c:1"
    coordinators.failed("c:1")
    coordinators.failed("b:1")
    assert coordinators.order() == ["a:1", "c:1", "b:1"], "all are away: who has failed longest ago"
    coordinators.failed("unknown:1")
    assert coordinators.known == ("a:1", "b:1", "c:1")


def test_coordinators_are_learned_and_forgotten():
    coordinators = Coordinators(["a:1"])
    coordinators.learn("a:1", ["b:1", "a:1", "c", "no address at all", "0.0.0.0:8815", "127.0.0.1:8815", "[::1]:1"])
    assert coordinators.known == ("a:1", "b:1", "c:8815"), "what means this machine only there is left out"
    coordinators.answered("b:1")
    coordinators.learn("b:1", ["c:8815"])
    assert coordinators.known == ("a:1", "c:8815") and coordinators.preferred == "a:1"
    here = Coordinators(["127.0.0.1:1"])
    here.learn("127.0.0.1:1", ["127.0.0.1:2", "localhost:3"])
    assert here.known == ("127.0.0.1:1", "127.0.0.1:2", "localhost:3")
    here.learn("127.0.0.1:1", [f"h{number}" for number in range(1000)])
    assert len(here.known) == 65


class Peers:
    """Coordinators that answer, or fail as told."""

    def __init__(self, **failures: Exception) -> None:
        self.failures = {f"{name}:1": failure for name, failure in failures.items()}
        self.asked: list[str] = []

    def ask(self, coordinators, repeatable=True):
        attempts = Attempts(coordinators, repeatable)
        for address in attempts:
            self.asked.append(address[0])
            failure = self.failures.get(address)
            if failure is None:
                attempts.answered(address)
                return address
            attempts.failed(address, failure)
        raise attempts.failure()


def gone(unsent=False):
    return UnreachableError("gone", has_no_side_effects=unsent)


def test_a_request_goes_on_until_it_is_taken():
    coordinators = Coordinators(["a:1", "b:1", "c:1"])
    peers = Peers(a=gone(), b=gone())
    assert (peers.ask(coordinators), peers.ask(coordinators)) == ("c:1", "c:1")
    assert peers.asked == ["a", "b", "c", "c"], "who is away is asked once, not with each call"


def test_a_refusal_that_another_may_not_share_goes_on():
    coordinators = Coordinators(["a:1", "b:1"])
    peers = Peers(a=NoCapacityError("no store"))
    assert peers.ask(coordinators) == "b:1"
    full = Peers(a=NoCapacityError("no store"), b=gone())
    with pytest.raises(NoCapacityError):
        full.ask(Coordinators(["b:1", "a:1"]))


@pytest.mark.parametrize(
    ("failure", "repeatable", "asked"),
    [
        (gone(), True, "ab"),
        (gone(), False, "a"),
        (gone(unsent=True), False, "ab"),
        (UserCodeError("no"), True, "a"),
        (ForkedProcessError("forked"), True, "a"),
    ],
)
def test_what_may_have_happened_is_not_done_again(failure, repeatable, asked):
    peers = Peers(a=failure)
    try:
        peers.ask(Coordinators(["a:1", "b:1"]), repeatable)
    except udfleet.UdfleetError as error:
        assert error is failure
    assert "".join(peers.asked) == asked


def test_nobody_answers():
    with pytest.raises(UnreachableError) as caught:
        Peers(a=gone(True), b=gone(True)).ask(Coordinators(["a:1", "b:1"]))
    assert caught.value.has_no_side_effects and caught.value.retryable
    with pytest.raises(UnreachableError) as caught:
        Peers(a=gone(True), b=gone()).ask(Coordinators(["a:1", "b:1"]))
    assert not caught.value.has_no_side_effects


def test_what_has_got_on_has_all_others_left():
    attempts = Attempts(Coordinators(["a:1", "b:1"]))
    asked = []
    for address in attempts:
        asked.append(address)
        if len(asked) < 5:
            attempts.answered(address)
        attempts.failed(address, gone())
    assert asked == ["a:1", "b:1", "a:1", "b:1", "a:1"] and not attempts.others


def line(executor, time, sequence):
    return cluster_pb2.LogLine(executor=executor, unix_ms=time, sequence=sequence)


def test_lines_are_read_once():
    position = LogPosition()
    first = [line("a", 5, 11), line("b", 5, 3), line("a", 4, 12), line("", 9, 0)]
    assert all(map(position.take, first)) and position.begun
    position.resume()
    assert [position.take(each) for each in first] == [False, False, False, True]
    assert [position.take(each) for each in (line("a", 5, 13), line("a", 6, 1), line("c", 1, 1))] == [True] * 3, "new"


def test_connection_settings_travel():
    settings = udfleet.Fleet("b:2,a:1", "secret", job="j")._settings
    assert settings == ConnectionSettings("b:2,a:1", "secret", None, "j", True)
    assert pickle.loads(pickle.dumps(settings)) == settings
    function = pickle.loads(pickle.dumps(FlightFunction("b:2,a:1", "f")))
    assert function.address == "b:2,a:1"
