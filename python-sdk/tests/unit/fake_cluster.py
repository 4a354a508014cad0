"""A coordinator and executors in this process, with batches for them."""

from __future__ import annotations

import socket

import pyarrow as pa
from fake_fleet import FakePeer, add

from udfleet import Fleet


class Cluster:
    def __init__(self, executors: int) -> None:
        self.coordinator = FakePeer()
        self.executors = [FakePeer() for _ in range(executors)]
        self.coordinator.endpoints = [peer.address for peer in self.executors]
        self.fleet = Fleet(self.coordinator.address, job="j")

    def close(self) -> None:
        self.fleet.close()
        for peer in [self.coordinator, *self.executors]:
            peer.shutdown()


def address_of(listener: socket.socket) -> str:
    host, port = listener.getsockname()
    return f"{host}:{port}"


def batch(start: int, rows: int = 100) -> pa.RecordBatch:
    column = pa.array(range(start, start + rows), pa.int64())
    return pa.RecordBatch.from_arrays([column, column], ["a", "b"])


def check(answers: list[pa.RecordBatch], batches: list[pa.RecordBatch]) -> None:
    assert [answer.column(0) for answer in answers] == [add(given) for given in batches]
