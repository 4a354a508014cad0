"""One policy for results in every func_type: what fits converts, everything else is refused with row and value."""

from __future__ import annotations

import math

import pytest
from fleet_support import BIGINT
from policy_cases import BY_TYPE, REFUSED

import udfleet
from udfleet import Environment, udf


def function(func_type, values):
    """Returns the value of the number that it is given."""

    def general(index):
        return values[index]

    def pandas(index):
        import pandas as pd

        return pd.Series([values[i] for i in index])

    def arrow(index):
        import pyarrow as pa

        return pa.array([values[i] for i in index.to_pylist()])

    return {"general": general, "pandas": pandas, "arrow": arrow}[func_type]


@pytest.mark.parametrize("func_type", ["general", "pandas", "arrow"])
@pytest.mark.parametrize("name", BY_TYPE)
def test_what_fits_converts_and_everything_else_is_refused(fleet, name, func_type):
    cases = [case for case in BY_TYPE[name] if func_type[0] in case.kinds]
    declared = udf(function(func_type, [case.value for case in cases]), BIGINT, name, func_type=func_type)
    fleet.register_function("odd", declared, environment=Environment(requirements=["numpy", "pandas", "pyarrow"]))
    wrong = []
    for index, case in enumerate(cases):
        try:
            (got,) = fleet.call("odd", [index]).to_pylist()
        except udfleet.ResultTypeError as error:
            if case.expected is not REFUSED:
                wrong.append((case.value, "was refused", str(error)))
            elif error.row not in (0, None) or not error.function:
                wrong.append((case.value, "was refused without row or function", str(error)))
            continue
        if case.expected is REFUSED:
            wrong.append((case.value, "was taken as", got))
            continue
        is_nan = isinstance(got, float) and math.isnan(got) and math.isnan(case.expected or 0)
        if got != case.expected and not is_nan:
            wrong.append((case.value, "became", got))
    fleet.drop_function("odd")
    assert not wrong, "\n".join(map(str, wrong))
