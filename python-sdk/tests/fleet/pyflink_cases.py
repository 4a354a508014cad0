"""What the tests of PyFlink's behaviour cases share. A case has its number in PyFlink's own collection."""

from __future__ import annotations

import pytest
from fleet_support import BIGINT

from udfleet import udaf, udf

KINDS = ["general", "pandas", "arrow"]
T1 = [(1, 2, 3), (2, 5, 6), (3, 1, 9)]
A1 = [(1, 2, 3), (3, 2, 3), (2, 1, 3), (1, 5, 4), (1, 8, 6), (2, 3, 4)]

every_kind = pytest.mark.parametrize("kind", KINDS)


def tuples(table):
    return [tuple(row.values()) for row in table.to_pylist()]


def bigint(f, kind, arrow=None, inputs=1, **options):
    """A function of BIGINTs: Series add up like ints, arrays need pyarrow.compute."""
    f = arrow if kind == "arrow" and arrow else f
    return udf(f, [BIGINT] * inputs, BIGINT, func_type=kind, **options)


def arrow_plus(a, b=1):
    import pyarrow.compute as pc

    return pc.add(a, b)


def arrow_minus_one(a):
    import pyarrow.compute as pc

    return pc.subtract(a, 1)


def aggregate(general, pandas, arrow, kind, result=BIGINT):
    f = {"general": general, "pandas": pandas, "arrow": arrow}[kind]
    return udaf(f, [BIGINT], result, func_type=kind)
