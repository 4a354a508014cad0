"""Cleans product reviews: one pandas pass over whole columns, then a table function that finds their words.

.venv/bin/python python-sdk/examples/text_cleanup.py
"""

from __future__ import annotations

import re

import udfleet
from udfleet import AggregateFunction, DataTypes, col, udaf, udf, udtf

STRING, BIGINT = DataTypes.STRING(), DataTypes.BIGINT()

REVIEWS = [
    (1, "  GREAT phone!!! Battery lasts <b>forever</b> &amp; more :) "),
    (2, "terrible… broke after 2 days. see http://example.org/complaint"),
    (3, None),
    (4, "Great   battery, great\tcamera"),
]


@udf(input_types=STRING, result_type=STRING, func_type="pandas")
def clean(text):
    """Plain text: no tags, addresses, entities or runs of blanks."""
    import html

    plain = text.str.replace(r"<[^>]+>|https?://\S+", " ", regex=True)
    plain = plain.map(html.unescape, na_action="ignore").str.replace(r"\s+", " ", regex=True)
    return plain.str.strip().str.lower()


@udtf(input_types=STRING, result_types=STRING)
def words(text):
    """The words of three letters and more; none of a missing text."""
    if text is not None:
        yield from re.findall(r"[a-z]{3,}", text)


class Count(AggregateFunction):
    """How many rows there are; merges, so that groups are counted all over the fleet."""

    def create_accumulator(self):
        return [0]

    def accumulate(self, accumulator, *args):
        accumulator[0] += 1

    def merge(self, accumulator, accumulators):
        accumulator[0] += sum(other[0] for other in accumulators)

    def get_value(self, accumulator):
        return accumulator[0]


count = udaf(Count(), input_types=STRING, result_type=BIGINT)


def main() -> None:
    """Cleans the reviews and counts their words."""
    with udfleet.local(executors=2, interpreters=1) as fleet:
        reviews = fleet.from_elements(REVIEWS, ["id", "text"]).select(col("id"), clean(col("text")).alias("text"))
        for row in reviews.to_pylist():
            print(row)
        found = reviews.join_lateral(words(col("text")).alias("word"))
        counted = found.group_by("word").select(col("word"), count(col("word")).alias("n")).where("n > 1")
        print(sorted((row["word"], row["n"]) for row in counted.to_pylist()))


if __name__ == "__main__":
    main()
