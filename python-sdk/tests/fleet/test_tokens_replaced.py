"""Certificates and tokens are replaced together, under load: no call fails, no stream ends, old tokens are refused."""

from __future__ import annotations

import itertools
import threading

import pyarrow as pa
import pytest
from fleet_support import BIGINT, eventually
from tls_fleet import tls_fleet

from udfleet import UnauthenticatedError, udf

ROTATIONS = 2
ROLES = ["call"]


class Load:
    """Clients, direct ones and others: some connect anew all the time, with the token of the day, some keep one stream."""

    def __init__(self, secured, token):
        self._secured = secured
        self.token = token
        self._ended = threading.Event()
        self.succeeded = {}
        """The token and the number of successes of each client."""
        self.broken = []
        kinds = itertools.product((self._calls, self._stream), (True, False))
        self._threads = [threading.Thread(target=self._run, args=(*kind, key)) for key, kind in enumerate(kinds)]

    def __enter__(self):
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self._ended.set()
        for thread in self._threads:
            thread.join(60)
        assert not any(thread.is_alive() for thread in self._threads)

    def _run(self, work, direct, key):
        count = itertools.count(1)
        try:
            while not self._ended.is_set():
                token = self.token
                with self._secured.connect(token=token, direct=direct) as fleet:
                    for _ in work(fleet):
                        self.succeeded[key] = (token, next(count))
        except BaseException as error:
            self.broken.append(error)

    def _calls(self, fleet):
        for number in range(10):
            assert fleet.call("plus", [number]).to_pylist() == [number + 1]
            yield

    def _stream(self, fleet):
        def batches():
            for number in itertools.count():
                if self._ended.wait(0.01):
                    return
                yield pa.record_batch([pa.array([number])], names=["a"])

        expected = itertools.count(1)
        for answer in fleet.stream("plus", batches()):
            assert answer.column(0).to_pylist() == [next(expected)]
            yield

    def goes_on(self):
        """Each client succeeds again from here; those that connect anew do so with the token of the day."""
        before = dict(self.succeeded)

        def all_have():
            assert not self.broken, self.broken
            anew = [self.succeeded.get(key, ("", 0))[0] for key in range(2)]
            counts = [self.succeeded.get(key, ("", 0))[1] > before.get(key, ("", 0))[1] + 2 for key in range(4)]
            return all(counts) and anew == [self.token] * 2

        eventually("calls and streams go on", all_have, 60)


@pytest.fixture
def secured(tmp_path):
    with tls_fleet(tmp_path, 2) as running:
        yield running


def test_nothing_fails_and_the_old_is_refused(secured):
    with secured.connect() as operator:
        operator.register_function("plus", udf(lambda a: a + 1, BIGINT, BIGINT))
        tokens = [operator.create_token("caller0", ROLES).token]
        with Load(secured, tokens[0]) as load:
            load.goes_on()
            for number in range(1, ROTATIONS + 1):
                secured.renew()
                tokens.append(operator.create_token(f"caller{number}", ROLES).token)
                load.token = tokens[-1]
                load.goes_on()
                operator.revoke_token(f"caller{number - 1}")
                eventually("it is refused", lambda old=tokens[-2]: is_refused(secured, old), 30)
                load.goes_on()
        assert not load.broken
        assert {executor.state for executor in operator.executors()} == {"ready"}


def is_refused(secured, token):
    try:
        with secured.connect(token=token) as fleet:
            fleet.call("plus", [1])
    except UnauthenticatedError:
        return True
    return False
