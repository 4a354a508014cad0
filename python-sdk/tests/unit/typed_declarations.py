"""What type checkers see of declarations: test_typing.py runs mypy over it. Each `ignore` is an error that is wanted."""

from __future__ import annotations

from collections.abc import Iterator

from typing_extensions import assert_type

from udfleet import Expression, ScalarFunction, col, udf, udtf


@udf
def add(x: int, y: int = 2) -> int:
    return x + y


@udf(input_types="BIGINT", result_type="TEXT")
def shout(x: str) -> str:
    return x.upper()


@udtf
def words(x: str) -> Iterator[str]:
    yield x


class Scale(ScalarFunction):
    def eval(self, x: float) -> float:
        return x * 2


scale = udf(Scale(), "DOUBLE", float)

assert_type(add(1), int)
assert_type(add(1, y=2), int)
assert_type(shout("a"), str)
assert_type(words("a"), Iterator[str])
assert_type(udf(float, "STRING", "DOUBLE")("1"), float)
assert_type(udf(str.upper, str, str)("a"), str)
assert_type(add(col("a"), 2), Expression)
assert_type(add(1, col("b")), Expression)
add("a")  # type: ignore[call-overload]
shout()  # type: ignore[call-overload]
add.nothing  # type: ignore[attr-defined]  # noqa: B018
print(add.result_type.sql(), scale.name, add.alias("x"))
