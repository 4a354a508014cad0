"""The examples of FLIP-58 ("Flink Python User-Defined Stateless Function for Table"), as they stand there, word for
word: only its curly quotes are straight here.

.venv/bin/python python-sdk/examples/flip58.py
"""

from __future__ import annotations

import udfleet
from udfleet import DataTypes, ScalarFunction, TableFunction, udf, udtf


@udf(input_types=[DataTypes.BIGINT(), DataTypes.BIGINT()], result_type=DataTypes.BIGINT())
class Multiply(ScalarFunction):
    def eval(self, x, y):
        return x * y

    def is_deterministic(self):
        return False


@udtf(input_types=[DataTypes.STRING()], result_types=DataTypes.STRING())
class Split(TableFunction):
    def eval(self, x):
        for e in x.split("#"):  # noqa: UP028
            yield e


@udf(input_types=[DataTypes.BIGINT(), DataTypes.BIGINT()], result_type=DataTypes.BIGINT(), deterministic=False)
def multiply(x, y):
    return x * y


@udtf(input_types=[DataTypes.STRING()], result_types=DataTypes.STRING())
def split(self, x):
    for e in x.split("#"):  # noqa: UP028
        yield e


class SubtractOne(ScalarFunction):
    def eval(self, i):
        return i - 1


@udf(input_types=[DataTypes.BIGINT(), DataTypes.BIGINT()], result_type=DataTypes.BIGINT())
def add(i, j):
    return i + j


# The functions of the FLIP's plans, which it leaves to the reader.
py_udf1 = udf(lambda b: b + 1, DataTypes.BIGINT(), DataTypes.BIGINT())
py_udf2 = udf(lambda c: c * 2, DataTypes.BIGINT(), DataTypes.BIGINT())
py_udf3 = udf(lambda d: f"<{d}>", DataTypes.STRING(), DataTypes.STRING())
py_udtf1 = udtf(lambda a: [(part, len(part)) for part in a.split("#")], [DataTypes.STRING()], "ROW<x STRING, y BIGINT>")
py_udtf2 = udtf(lambda b, x: [(i, f"{x}{i}") for i in range(b)], None, "ROW<m BIGINT, n STRING>")


def main() -> None:
    """Registers and runs them."""
    with udfleet.local(executors=1, interpreters=1) as t_env:
        t_env.register_function("add_one", udf(lambda i: i + 1, DataTypes.BIGINT(), DataTypes.BIGINT()))
        t_env.register_function("subtract_one", udf(SubtractOne(), DataTypes.BIGINT(), DataTypes.BIGINT()))
        t_env.register_function("add", add)
        for function in (Multiply, Split, multiply, split, py_udf1, py_udf2, py_udf3, py_udtf1, py_udtf2):
            name = next(name for name, value in globals().items() if value is function)
            t_env.register_function(name, function)

        numbers = t_env.from_elements([(1, 2), (3, 4)], ["a", "b"])
        print(numbers.select("add_one(a), subtract_one(b), add(a, b), Multiply(a, b), multiply(b, b)").to_pylist())

        table = t_env.from_elements([(1, 10, 100, "x"), (2, 20, 200, "y")])
        print(table.alias("a, b, c, d").select("a, py_udf1(b), py_udf2(py_udf1(c)), py_udf3(d)").to_pylist())

        words = t_env.from_elements([("u#vw", 2), ("", 1)])
        for row in (
            words.alias("a, b")
            .join_lateral("py_udtf1(a) as (x, y)")
            .join_lateral("py_udtf2(b, x) as (m, n)")
            .select("a, b, x, y, m, n")
            .to_pylist()
        ):
            print(row)
        print([row["w"] for row in words.alias("a, b").join_lateral("split(a) as (w)").to_pylist()])
        print([row["w"] for row in words.alias("a, b").join_lateral("Split(a) as (w)").to_pylist()])


if __name__ == "__main__":
    main()
