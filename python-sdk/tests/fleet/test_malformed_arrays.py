"""Arrays that pyarrow lets through although they lead beyond their buffers or hold no text: refused, without a crash."""

from __future__ import annotations

import pytest
from fleet_support import BIGINT, failure_of

import udfleet
from udfleet import udf


def key_beyond(_):
    import pyarrow as pa

    return pa.DictionaryArray.from_arrays(pa.array([5], pa.int8()), pa.array(["a"]), safe=False)


def key_before(_):
    import pyarrow as pa

    return pa.DictionaryArray.from_arrays(pa.array([-1], pa.int8()), pa.array(["a"]), safe=False)


def key_in_a_list(_):
    import pyarrow as pa

    return pa.ListArray.from_arrays([0, 1], key_beyond(_))


def offset_beyond(_):
    import pyarrow as pa

    offsets = pa.array([0, 100, 3], pa.int32()).buffers()[1]
    return pa.Array.from_buffers(pa.string(), 2, [None, offsets, pa.py_buffer(b"abc")]).slice(0, 1)


def no_unicode(_):
    import pyarrow as pa

    offsets = pa.array([0, 2], pa.int32()).buffers()[1]
    return pa.Array.from_buffers(pa.string(), 1, [None, offsets, pa.py_buffer(b"\xff\xfe")])


def no_unicode_in_a_view(_):
    import pyarrow as pa

    view = (2).to_bytes(4, "little") + b"\xff\xfe" + bytes(10)
    return pa.Array.from_buffers(pa.string_view(), 1, [None, pa.py_buffer(view)])


def view_beyond(_):
    import pyarrow as pa

    view = (30).to_bytes(4, "little") + b"abcd" + (5).to_bytes(4, "little") + bytes(4)
    return pa.Array.from_buffers(pa.string_view(), 1, [None, pa.py_buffer(view)])


MALFORMED = [key_beyond, key_before, key_in_a_list, offset_beyond, no_unicode, no_unicode_in_a_view, view_beyond]


@pytest.mark.parametrize("make", MALFORMED)
def test_malformed_arrays_are_refused(fleet, make):
    declared = "ARRAY<STRING>" if make is key_in_a_list else "STRING"
    fleet.register_function("malformed", udf(make, BIGINT, declared, func_type="arrow"))
    try:
        error = failure_of(udfleet.ResultTypeError, fleet.call, "malformed", [1])
        assert error.function.startswith("malformed@")
    finally:
        fleet.drop_function("malformed")


def test_null_in_not_null_beside_a_null_row(fleet):
    def rows(index):
        import pandas

        return [None, {"a": 1}, {"a": pandas.NA}][index]

    needs = udfleet.Environment(requirements=["pandas"])
    fleet.register_function("rows", udf(rows, BIGINT, "ROW<a INT NOT NULL>"), environment=needs)
    assert fleet.call("rows", [0, 1]).to_pylist() == [None, {"a": 1}]
    error = failure_of(udfleet.ResultTypeError, fleet.call, "rows", [0, 1, 2])
    assert (error.row, error.value) == (2, "<NA>")
    fleet.drop_function("rows")
