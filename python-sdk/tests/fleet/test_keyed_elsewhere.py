"""A stream whose coordinator does not answer is opened at another one."""

from __future__ import annotations

import socket

import pytest
from keyed_chain import CHAIN, batch

import udfleet


def test_a_stream_that_is_opened_again_asks_another_coordinator(fleet: udfleet.LocalFleet) -> None:
    fleet.register_function("elsewhere", CHAIN, partitions=2)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        away = f"127.0.0.1:{taken.getsockname()[1]}"
        with udfleet.connect(f"{fleet.address},{away}", fleet.token) as client:
            client._rpc.coordinators._preferred = away
            table = client.from_batches([batch(range(20))]).key_by("key").process("elsewhere(row)")
            with pytest.raises(udfleet.UdfleetError):
                table.open_stream("elsewhere")
            with table.open_stream("elsewhere") as stream:
                assert sum(bundle.rows for bundle in stream) == 20
