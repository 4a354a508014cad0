"""udfleet answers as the servers of arrow-udf and databend-udf do: the same calls are sent to both."""

from __future__ import annotations

import flight_wire
import pyarrow as pa
import pytest
from flight_wire import FRAMINGS
from remote_comparison import assert_same, columns
from remote_functions import SAME
from remote_servers import AS_CLIENT_OF, batch, given, no_columns, serves

INT = pa.int32()


SAME_SERVED = [(name, kind) for name in AS_CLIENT_OF for kind in SAME if serves(name, f"same_{kind}")]


class Both:
    """A server from PyPI and the fleet."""

    def __init__(self, name, reference, endpoints):
        self.connect = AS_CLIENT_OF[name]
        self.name, self.reference, self.endpoints = name, reference, endpoints

    def signature(self, function):
        with self.connect(self.reference) as client:
            return client.info(function).schema

    def compare(self, function, *batches, **options):
        """Sends one call to both, and to every endpoint of the fleet."""
        with self.connect(self.reference) as client:
            theirs = client.call(function, *batches, **options)
        for endpoint in self.endpoints:
            with self.connect(endpoint) as client:
                assert_same(theirs, client.call(function, *batches, **options))
        return theirs


@pytest.fixture(params=AS_CLIENT_OF)
def both(request, references, endpoints):
    return Both(request.param, references[request.param], endpoints)


@pytest.mark.parametrize(("both", "kind"), SAME_SERVED, indirect=["both"])
def test_values_of_every_type(both, kind):
    function, values = f"same_{kind}", SAME[kind][1]
    field = both.signature(function).field(0)
    if both.name == "databend-udf" and pa.types.is_struct(field.type):
        # Databend names the fields of a tuple by number.
        parts = [part.with_name(str(number)) for number, part in enumerate(field.type, 1)]
        field = field.with_type(pa.struct(parts))
        values = [value and dict(zip("12", value.values())) for value in values]
    theirs = both.compare(function, given(field, values), given(field, values[::-1]))
    assert len(columns(theirs)[0]) == 2 * len(values)


@pytest.mark.parametrize("kind", SAME)
@pytest.mark.parametrize("connect", [flight_wire.arrow_udf, flight_wire.databend, flight_wire.plain])
def test_calls_made_from_the_fleets_own_signature(endpoints, connect, kind):
    function, values = f"same_{kind}", SAME[kind][1]
    for endpoint in endpoints:
        with connect(endpoint) as client:
            argument, result = client.info(function).schema
            sent = given(argument, values)
            answer = client.call(function, sent)
            assert answer.schema == pa.schema([result]), "results have the very type that was told"
            assert len(values) == sent.num_rows and answer.column() == sent.column(0).to_pylist()


JOINED = batch(
    text=["a", None, ""], number=pa.array([1, 2, None], pa.int64()), truth=pa.array([None, True, False], pa.bool_())
)
PAIRS = [batch(x=pa.array(range(n), INT), y=pa.array([12] * n, INT)) for n in (3, 1, 2000, 7)]


CALLS = [
    ("joined", [JOINED]),
    ("joined", [JOINED.slice(1, 1), JOINED.slice(2), JOINED]),
    ("gcd", PAIRS),
    ("gcd", [PAIRS[0].slice(0, 0)]),
    ("gcd", [PAIRS[0].slice(0, 0), PAIRS[0], PAIRS[0].slice(0, 0)]),
    ("fortytwo", [no_columns(3)]),
    ("fortytwo", [no_columns(2), no_columns(1), no_columns(0)]),
    ("same_varchar", [batch(a=["x" * 1000, None] * 10_000)]),
    ("words", [batch(text=["one three five"])]),
    ("words", [batch(text=[""])]),
]
# Databend calls table functions with one row of constants, and has no word for a table of one column.
TABLE_CALLS = [
    ("series", [batch(n=pa.array([3, 0, None, 2], INT))]),
    ("series", [batch(n=pa.array([0, None], INT))]),
    ("series", [batch(n=pa.array([2000, 1, 1500], INT))]),
    ("words", [batch(text=["one three", None, "", "four five"])]),
]


def named(value):
    return value if isinstance(value, str) else "-".join(str(one.num_rows) for one in value)


@pytest.mark.parametrize(("function", "batches"), CALLS, ids=named)
def test_calls(both, function, batches):
    both.compare(function, *batches)


@pytest.mark.parametrize("both", ["arrow-udf"], indirect=True)
@pytest.mark.parametrize(("function", "batches"), TABLE_CALLS, ids=named)
def test_tables(both, function, batches):
    both.compare(function, *batches)


@pytest.mark.parametrize("function", ["gcd", "words"])
def test_no_batch_at_all(both, function):
    both.compare(function, schema={"gcd": PAIRS[0].schema, "words": pa.schema([("text", pa.string())])}[function])


@pytest.mark.parametrize("framing", FRAMINGS, ids=lambda framing: framing.__name__)
def test_every_framing(both, framing):
    with both.connect(both.reference) as client:
        theirs = client.call("gcd", *PAIRS)
        # The servers from PyPI do not take the last two.
        if framing not in FRAMINGS[-2:]:
            assert_same(theirs, client.call("gcd", *PAIRS, framing=framing))
    for endpoint in both.endpoints:
        with both.connect(endpoint) as client:
            assert_same(theirs, client.call("gcd", *PAIRS, framing=framing))


def test_one_chunk_in_several_messages(both):
    """What arrow-rs makes of large batches: only rows and their order count."""
    whole = batch(x=pa.array(range(1, 4001), INT), y=pa.array([360] * 4000, INT))
    parts = [whole.slice(start, 700) for start in range(0, 4000, 700)]
    assert columns(both.compare("gcd", *parts)) == columns(both.compare("gcd", whole))


def test_no_answer_without_a_batch_for_databend(endpoints):
    for endpoint in endpoints:
        with flight_wire.databend(endpoint) as client:
            for function, sent in [("gcd", PAIRS[0].slice(0, 0)), ("words", batch(text=[""]))]:
                answer = client.call(function, sent)
                assert answer.table.num_rows == 0 and len(answer.batches) >= 1
