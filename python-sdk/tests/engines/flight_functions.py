"""Functions on flights, one of every func_type, and functions that engines can't take."""

from __future__ import annotations

from udfleet import DataTypes, udaf, udf, udtf

BIGINT, DOUBLE, STRING = DataTypes.BIGINT(), DataTypes.DOUBLE(), DataTypes.STRING()


@udf(input_types=[DOUBLE], result_type=STRING)
def delay_class(dep_delay):
    """General; flights that never left have no delay."""
    if dep_delay is None:
        return "cancelled"
    if dep_delay <= 0:
        return "on time"
    return "short" if dep_delay < 30 else "long"


@udf(input_types=[BIGINT, DOUBLE], result_type=DOUBLE, func_type="pandas")
def speed(distance, air_time):
    """Pandas: miles per hour."""
    return distance / (air_time / 60)


@udf(input_types=[STRING, STRING], result_type=STRING, func_type="arrow")
def route(origin, dest):
    """Arrow: text columns, no conversion at all."""
    import pyarrow.compute as pc

    return pc.binary_join_element_wise(origin, dest, "-")


@udf(input_types=[BIGINT], result_type=BIGINT)
def picky(a):
    """Raises for one value."""
    if a == 5_000:
        raise ValueError(f"{a} is one too many")
    return a


@udf(input_types=[], result_type=STRING)
def greeting():
    """Takes nothing."""
    return "hello"


FUNCTIONS = {
    "delay_class": delay_class,
    "speed": speed,
    "route": route,
    "picky": picky,
    "greeting": greeting,
    "letters": udtf(lambda text: list(text), STRING, STRING),
    "total": udaf(lambda values: values.sum(), BIGINT, BIGINT, func_type="pandas"),
    "anything": udf(lambda a: 1, None, BIGINT),
    "roll": udf(lambda: 4, [], BIGINT, deterministic=False),
}
