"""udtf, udaf, udtaf and async udf: declarations, refusals, what is told of them; FLIP-58's from its example."""

from __future__ import annotations

import asyncio
import functools
import pickle

import pytest
from flip58 import Multiply, Split, multiply, split
from test_packing import elsewhere

import udfleet
from udfleet import (
    AggregateFunction,
    AsyncScalarFunction,
    DataTypes,
    Environment,
    ListView,
    MapView,
    Row,
    TableAggregateFunction,
    udaf,
    udf,
    udtaf,
    udtf,
)
from udfleet._packing.definition import build
from udfleet._packing.pickling import pickle_function
from udfleet._packing.shipment import Shipment
from udfleet._proto.udfleet.v1 import function_pb2

BIGINT, STRING = DataTypes.BIGINT(), DataTypes.STRING()


def definition(wrapper, **options):
    return build("f", wrapper, Environment(), {}, {}, "j", Shipment(), **options)


class Mean(AggregateFunction):
    def create_accumulator(self):
        return [0, 0]

    def accumulate(self, accumulator, value):
        accumulator[0] += value
        accumulator[1] += 1

    def get_value(self, accumulator):
        return accumulator[0] / accumulator[1]


class MergingMean(Mean):
    def merge(self, accumulator, accumulators):
        for other in accumulators:
            accumulator[0] += other[0]
            accumulator[1] += other[1]

    def get_result_type(self):
        return "DOUBLE"

    def get_accumulator_type(self):
        return DataTypes.ROW([DataTypes.FIELD("s", BIGINT), DataTypes.FIELD("l", DataTypes.LIST_VIEW(STRING))])


class Top2(TableAggregateFunction):
    def create_accumulator(self):
        return []

    def accumulate(self, accumulator, value):
        accumulator.append(value)

    def emit_value(self, accumulator):
        yield from sorted(accumulator)[-2:]


class MaxAdd(AggregateFunction):
    """PyFlink's example of a pandas aggregate written as a class."""

    def open(self, function_context):
        self.opened = True

    def create_accumulator(self):
        return []

    def accumulate(self, accumulator, *args):
        accumulator.append(sum(max(arg) for arg in args))

    def get_value(self, accumulator):
        return accumulator[0]


def test_flip_58_declarations():
    assert (Multiply.run(3, 4), Multiply.deterministic, Multiply.name) == (12, False, "Multiply")
    assert (multiply.run(3, 4), multiply.deterministic) == (12, False)
    assert list(Split("a#b")) == list(split("a#b")) == ["a", "b"]
    assert [f.kind for f in (Multiply, Split, multiply, split)] == ["scalar", "table", "scalar", "table"]
    assert elsewhere(pickle_function(split, set()).data, "list(f('a#b'))") == "['a', 'b']"
    assert elsewhere(pickle_function(Split, set()).data, "list(f.eval('a#b'))") == "['a', 'b']"


def test_result_types_of_tables():
    def types(given):
        return udtf(lambda: None, result_types=given).result_type

    assert types(BIGINT) == types([BIGINT]) == types("BIGINT") == BIGINT
    assert types([BIGINT, "STRING"]) == types("ROW<f0 BIGINT, f1 STRING>") == types("Row<f0 BIGINT, f1 STRING>")
    assert types(DataTypes.ROW([DataTypes.FIELD("w", STRING)])).fields[0].name == "w"
    for given in (None, [], object, [object]):
        with pytest.raises(TypeError, match="result"):
            types(given)


def test_aggregates():
    plain = udaf(Mean(), BIGINT, DataTypes.DOUBLE())
    assert (plain.kind, plain.merges, plain.accumulator_type, plain([1, 2, 6])) == ("aggregate", False, None, 3.0)
    merging = udaf(MergingMean, input_types=BIGINT)
    assert (merging.merges, merging.result_type) == (True, DataTypes.DOUBLE())
    sent = definition(merging, on_error="skip")
    assert (sent.kind, sent.merges, sent.on_error) == (function_pb2.AGGREGATE, True, function_pb2.ON_ERROR_SKIP)
    assert [field.type.root for field in sent.accumulator_type.fields] == [11, 18]
    top = udtaf(Top2(), [BIGINT], BIGINT)
    assert (top.kind, top([3, 1, 2]), definition(top).kind) == ("table_aggregate", [2, 3], function_pb2.TABLE_AGGREGATE)
    decorated = udaf(result_type=BIGINT, func_type="pandas")(lambda values: max(values))
    assert decorated([1, 3, 2]) == 3 and not definition(decorated).HasField("accumulator_type")


def test_classes_over_whole_columns():
    declared = udaf(MaxAdd(), result_type=BIGINT, func_type="pandas")
    assert (declared([1, 5], [2, 3]), declared.name) == (8, "MaxAdd")
    declared.func.open(None)
    assert declared.func.function.opened
    assert elsewhere(pickle_function(declared, set()).data, "f.eval([1, 5], [2])") == "7"


async def later(a):
    await asyncio.sleep(0)
    return a + 1


class Later(AsyncScalarFunction):
    async def eval(self, a):
        return a + 1


class LaterObject:
    async def __call__(self, a):
        return a + 1


@pytest.mark.parametrize("f", [later, functools.partial(later), Later(), Later, LaterObject()])
def test_asynchronous_functions(f):
    declared = udf(f, BIGINT, BIGINT)
    assert declared.asynchronous and definition(declared).asynchronous
    assert asyncio.run(declared(1)) == 2


def test_refusals():
    class Views(Mean):
        pass

    def mean(accumulator):
        return udaf(Views(), BIGINT, BIGINT, accumulator)

    view = DataTypes.LIST_VIEW(BIGINT)
    for error, match, make in [
        (TypeError, "class TableFunction, not of Mean", lambda: udtf(Mean(), result_types=BIGINT)),
        (TypeError, "class AggregateFunction, not of Top2", lambda: udaf(Top2(), result_type=BIGINT)),
        (TypeError, "subclass of AggregateFunction", lambda: udaf(lambda a: a, result_type=BIGINT)),
        (TypeError, "subclass of TableAggregateFunction", lambda: udtaf(lambda a: a, result_type=BIGINT)),
        (TypeError, "result_type is missing", lambda: udaf(Mean())),
        (TypeError, "async def", lambda: udtf(later, result_types=BIGINT)),
        (TypeError, "already", lambda: udtf(split, result_types=BIGINT)),
        (
            ValueError,
            "func_type must be one of general,",
            lambda: udtaf(Top2(), result_type=BIGINT, func_type="pandas"),
        ),
        (TypeError, "an accumulator that holds a view", lambda: mean(view)),
        (TypeError, "top-level field", lambda: mean(DataTypes.ROW([DataTypes.ARRAY(view)]))),
        (TypeError, "top-level field", lambda: udf(lambda: 1, result_type=view)),
        (
            udfleet.InvalidInputError,
            "on_error must be one of fail, null, skip",
            lambda: definition(split, on_error="ignore"),
        ),
        (RuntimeError, "does not define retract", lambda: Mean().retract([], 1)),
        (RuntimeError, "does not define merge", lambda: Mean().merge([], [])),
    ]:
        with pytest.raises(error, match=match):
            make()


def test_views():
    listed = ListView(1, 2)
    listed.add(3)
    listed.add_all([4])
    assert list(listed.get()) == [1, 2, 3, 4] and pickle.loads(pickle.dumps(listed)) == listed
    listed.clear()
    assert list(listed) == []
    mapped = MapView()
    mapped.put("a", None)
    mapped.put_all({"ab": 1})
    mapped["c"] = 2
    assert mapped.contains("a") and "ab" in mapped and mapped.get("x") is None and len(mapped) == 3
    assert pickle.loads(pickle.dumps(mapped)) == mapped
    for key in mapped.keys():  # noqa: SIM118 - as functions write it
        mapped.remove(key)
    mapped.remove("never there")
    assert mapped.is_empty() and list(mapped.items()) == list(mapped.values()) == []
    with pytest.raises(KeyError):
        _ = mapped["a"]
    row = Row(1, MapView({1: 2}))
    assert pickle.loads(pickle.dumps(row)) == row
