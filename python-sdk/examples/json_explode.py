"""Orders as JSON lines become one row per item; lines that are no JSON are left out, counted and kept as errors.

.venv/bin/python python-sdk/examples/json_explode.py
"""

from __future__ import annotations

import json
import time
from decimal import Decimal

import udfleet
from udfleet import AggregateFunction, DataTypes, col, udaf, udtf

LINES = [
    '{"order": 1, "items": [{"sku": "A1", "quantity": 2, "price": "9.99"}, {"sku": "B7", "quantity": 1, "price": 5}]}',
    '{"order": 2, "items": []}',
    '{"order": 3, "items": [{"sku": "A1", "quantity": 5, "price": "9.50"}]}',
    '{"order": 4, "items": [{"sku":',
]


@udtf(input_types="STRING", result_types="ROW<number BIGINT, sku STRING, quantity INT, price DECIMAL(10, 2)>")
def items(line):
    """One row per item of an order."""
    order = json.loads(line)
    for item in order["items"]:
        yield order["order"], item["sku"], item["quantity"], Decimal(item["price"])


class Turnover(AggregateFunction):
    """Quantity times price, summed exactly."""

    def create_accumulator(self):
        return [Decimal(0)]

    def accumulate(self, accumulator, quantity, price):
        accumulator[0] += quantity * price

    def merge(self, accumulator, accumulators):
        accumulator[0] += sum(other[0] for other in accumulators)

    def get_value(self, accumulator):
        return accumulator[0]


turnover = udaf(Turnover(), input_types=["INT", DataTypes.DECIMAL(10, 2)], result_type=DataTypes.DECIMAL(18, 2))


def main() -> None:
    """Explodes the orders and sums them up."""
    with udfleet.local(executors=2, interpreters=1) as fleet:
        fleet.register_function("items", items, on_error="skip")
        exploded = fleet.from_elements(LINES, ["line"]).join_lateral("items(line)").drop_columns("line")
        for row in exploded.to_pylist():
            print({**row, "price": str(row["price"])})
        sums = exploded.group_by("sku").select(col("sku"), turnover(col("quantity"), col("price")).alias("turnover"))
        print(sorted((row["sku"], str(row["turnover"])) for row in sums.to_pylist()))
        # What was left out is told with the executors' next report.
        deadline = time.monotonic() + 10
        while not (failed := fleet.row_errors("items")) and time.monotonic() < deadline:
            time.sleep(0.1)
        for view in failed[:1]:
            print(view.function, view.first[0].code, view.first[0].exception.type)


if __name__ == "__main__":
    main()
