"""Scores payments by what each card did before, each payment once, whatever dies: kill it, start it again, it goes on.

.venv/bin/python python-sdk/examples/card_fraud.py scores.db
"""

from __future__ import annotations

import os
import sqlite3
import sys
from collections.abc import Iterator
from contextlib import closing
from datetime import timedelta

import pyarrow as pa

import udfleet
from udfleet import (
    DataTypes,
    KeyedProcessFunction,
    MapStateDescriptor,
    StateTtlConfig,
    ValueStateDescriptor,
    keyed_process,
)

BIGINT, STRING, DOUBLE = DataTypes.BIGINT(), DataTypes.STRING(), DataTypes.DOUBLE()
PAYMENTS = 2_000


class CardFraud(KeyedProcessFunction):
    """How unlike the card's earlier payments a payment is: its amount, its country, and how soon it comes."""

    def open(self, runtime_context):
        """State that each card has for itself; what it did ninety days ago does not count."""
        self.count = runtime_context.get_state(ValueStateDescriptor("count", BIGINT))
        self.mean = runtime_context.get_state(ValueStateDescriptor("mean", DOUBLE))
        self.minute = runtime_context.get_state(ValueStateDescriptor("minute", BIGINT))
        countries = MapStateDescriptor("countries", STRING, BIGINT)
        countries.enable_time_to_live(StateTtlConfig.new_builder(timedelta(days=90)).build())
        self.countries = runtime_context.get_map_state(countries)

    def process_element(self, value, ctx):
        """One result for each payment: its number, its card and its score."""
        count, mean = self.count.value() or 0, self.mean.value() or 0.0
        score = 0.0
        if count:
            score += min(1.0, value.amount / mean / 10)
            score += 1.0 if value.country not in self.countries else 0.0
            score += 1.0 if value.minute - self.minute.value() < 2 else 0.0
        self.count.update(count + 1)
        self.mean.update(mean + (value.amount - mean) / (count + 1))
        self.minute.update(value.minute)
        self.countries.put(value.country, (self.countries.get(value.country) or 0) + 1)
        yield value.payment, ctx.get_current_key(), score


CARD_FRAUD = keyed_process(
    CardFraud,
    input_types=[BIGINT, BIGINT, BIGINT, STRING],
    result_types=DataTypes.ROW(
        [DataTypes.FIELD("payment", BIGINT), DataTypes.FIELD("card", STRING), DataTypes.FIELD("score", DOUBLE)]
    ),
)


def payment(number: int) -> tuple[int, str, int, int, str]:
    """A payment: its number, card, minute, amount and country."""
    stolen = number % 97 == 0
    card = f"card-{number * 7 % 50}"
    return number, card, number // 3, 900 if stolen else 20 + number % 13, "XX" if stolen else "DE"


def payments() -> Iterator[pa.RecordBatch]:
    """All payments, the same in the same order each time: as a log has them."""
    names = ["payment", "card", "minute", "amount", "country"]
    for start in range(0, PAYMENTS, 100):
        columns = zip(*(payment(number) for number in range(start, start + 100)))
        yield pa.record_batch([pa.array(column) for column in columns], names)


def score_all(fleet: udfleet.Fleet, path: str) -> None:
    """Scores what is not scored yet into a table of SQLite."""
    try:
        fleet.function("card_fraud")
    except udfleet.FunctionNotFoundError:
        # Once: a class that is registered again is a further version.
        config = {"python.fn-execution.bundle.size": 100}
        fleet.register_function("card_fraud", CARD_FRAUD, config=config, partitions=4)
    table = fleet.from_batches(payments)
    call = table.key_by("card").process("card_fraud(payment, minute, amount, country)")
    with closing(sqlite3.connect(path)) as scores, call.open_stream("cards", commit="manual") as stream:
        scores.execute("CREATE TABLE IF NOT EXISTS scores (payment INTEGER PRIMARY KEY, card TEXT, score REAL)")
        print(f"going on behind payment {stream.position}", flush=True)
        for bundle in stream:
            rows = [(row["payment"], row["card"], row["score"]) for row in bundle.to_pylist()]
            # First what others see, by a key: should this die before the commit, the same rows are written again.
            with scores:
                scores.executemany("INSERT OR REPLACE INTO scores VALUES (?, ?, ?)", rows)
            bundle.commit()
            print(f"committed {stream.position}", flush=True)


if __name__ == "__main__":
    path = sys.argv[1] if len(sys.argv) > 1 else "scores.db"
    address = os.environ.get("UDFLEET_ADDRESS")
    with udfleet.connect(address, token=os.environ.get("UDFLEET_TOKEN")) if address else udfleet.local() as fleet:
        score_all(fleet, path)
