"""Tables that streams are opened of: which column says what rows do, which groups are refused, and what is called."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pytest

from udfleet import InvalidPlanError
from udfleet._client import groups as client_groups
from udfleet._proto.udfleet.v1 import function_pb2, plan_pb2
from udfleet.errors import FunctionNotFoundError
from udfleet.table.sources import from_batches
from udfleet.table.table import Table

SCHEMA = pa.schema({"op": pa.int64(), "user": pa.int64(), "amount": pa.int64()})


class Functions:
    """None but built-in ones, and one with keyed state."""

    def refer(self, function: Any) -> str:
        return str(function)

    def kind(self, function: Any) -> str:
        return ""

    def result_type(self, function: Any) -> None:
        return None

    def is_deterministic(self, function: Any) -> bool:
        return True


class Fleet:
    """Keeps what streams are opened with. All columns are BIGINTs."""

    def __init__(self) -> None:
        self._functions = Functions()
        self.specs: list[Any] = []
        self.ran: list[plan_pb2.Plan] = []

    def _plan_schema(self, plan: plan_pb2.Plan) -> pa.Schema:
        names = [column.name for column in plan.source]
        for operator in plan.operators:
            items = [*operator.aggregate.items, *operator.project.items]
            names = [item.name or item.expression.column for item in items] or names
        return pa.schema([(name, pa.int64()) for name in names])

    def _group_function(self, *args: Any) -> str:
        self.specs.append(args[0])
        self.group_arguments = args
        return "groups"

    def _open_stream(self, stream: str, function: str, keys: int, schema: pa.Schema, *rest: Any) -> list[str]:
        return schema.names

    def _run_plan(self, plan: plan_pb2.Plan, *rest: Any) -> Any:
        self.ran.append(plan)
        return iter(())


def table(row_kind: str | None = "op", schema: pa.Schema = SCHEMA) -> Table:
    return Table(Fleet(), from_batches([], schema, row_kind))  # type: ignore[arg-type]


def fleet_of(of: Table) -> Any:
    return of._fleet


@pytest.mark.parametrize(
    "derive",
    [
        lambda t: t.limit(5),
        lambda t: t.offset(1),
        lambda t: t.fetch(5, 1),
        lambda t: t.order_by("user"),
        lambda t: t.union_all(table()),
        lambda t: t.limit(5).where("amount > 1").union_all(table()).offset(1),
    ],
)
def test_changes_stay_changes(derive: Any) -> None:
    derived = derive(table())
    derived.group_by("user").select("user, sum(amount) as s").open_stream("s")
    (spec,) = fleet_of(derived).specs
    assert spec.row_kind is not None
    assert derived.key_by("user").process("f(amount)").open_stream("s")[-1] == "$row_kind"
    with pytest.raises(InvalidPlanError, match="table of changes"):
        derived.group_by("user").select("user, sum(amount) as s").to_arrow()
    with pytest.raises(InvalidPlanError, match="left out"):
        derived.select("user, amount").key_by("user").process("f(amount)")


def test_aggregates_of_a_whole_table_of_changes_are_computed_by_a_stream_too() -> None:
    with pytest.raises(InvalidPlanError, match="table of changes"):
        table().select("sum(amount) as s").to_arrow()


@pytest.mark.parametrize(
    "other",
    [
        lambda: table(None),
        lambda: table("user"),
        lambda: table().select("user, op, amount"),
        lambda: table().select("user as op1, amount as a, amount as b"),
        lambda: table().select("user, user as u, amount"),
    ],
)
def test_a_union_has_one_column_that_says_what_rows_do(other: Any) -> None:
    for union in (table().union_all(other()), other().union_all(table())):
        with pytest.raises(InvalidPlanError, match="both tables of a union"):
            union.group_by("user").select("user, sum(amount) as s").open_stream("s")
        # Its rows can be read.
        union._source.fields  # noqa: B018 - raises where they can't
    assert table(None).union_all(table(None))._source.row_kind is None


@pytest.mark.parametrize(
    "group",
    [
        lambda t: t.group_by("user").select("user, sum(amount) as amount"),
        lambda t: t.select("user, amount").distinct().where("amount > 1"),
        lambda t: t.select("count(*) as user, sum(amount) as amount"),
        lambda t: t.select("user, amount").distinct().limit(5),
        lambda t: t.select("user, amount").distinct().union_all(t.select("user, amount")).order_by("user"),
        lambda t: t.select("user, amount").union(t.select("user, amount")),
        lambda t: t.select("user, amount").minus_all(t.select("user, amount")).offset(3),
    ],
)
def test_groups_before_those_of_a_stream_are_refused(group: Any) -> None:
    grouped = group(table(None))
    with pytest.raises(InvalidPlanError, match="groups before those of the stream") as error:
        grouped.group_by("user").select("user, sum(amount) as s").open_stream("s")
    assert 'from_batches(changes, row_kind="row_kind")' in (error.value.hint or "")
    with pytest.raises(InvalidPlanError, match="groups before those of the stream"):
        grouped.key_by("user").process("f(amount)")


@pytest.mark.parametrize("step", [lambda t: t.where("s > 1"), lambda t: t.select("s")])
def test_a_stream_is_of_groups_at_the_end(step: Any) -> None:
    for given in (table(), table(None)):
        with pytest.raises(InvalidPlanError, match="no groups at its end"):
            step(given.group_by("user").select("user, sum(amount) as s")).open_stream("s")


@pytest.mark.parametrize(
    ("make", "outputs"),
    [
        (lambda t: t.distinct(), [0, 1, 2]),
        (lambda t: t.group_by("user").select("user"), [0]),
    ],
)
def test_groups_without_aggregates(make: Any, outputs: list[int], monkeypatch: pytest.MonkeyPatch) -> None:
    grouped = make(table(None))
    grouped.open_stream("d")
    spec, _, inputs, result, partitions = fleet_of(grouped).group_arguments
    assert (list(spec.outputs), spec.calls) == (outputs, ())

    class Rpc:
        def describe(self, name: str) -> Any:
            raise FunctionNotFoundError(name)

    submitted: list[function_pb2.FunctionDefinition] = []
    monkeypatch.setattr(client_groups, "submit", lambda rpc, definition, *rest: submitted.append(definition))
    name = client_groups.group_function(Rpc(), spec, [], inputs, result, partitions, {})  # type: ignore[arg-type]
    assert name.startswith("keys-groups-")
    assert submitted[0].name == name


def test_the_column_that_says_what_rows_do_is_no_key() -> None:
    for named in ("op", "row_kind"):
        changes = table(named, SCHEMA.set(0, pa.field(named, pa.int64())))
        for grouped in (changes.distinct(), changes.group_by(f"{named} as k, user").select("k, count(*) as n")):
            with pytest.raises(InvalidPlanError, match="as a key") as error:
                grouped.open_stream("d")
            assert "the other columns" in (error.value.hint or "")


def test_keys_under_names_that_need_quotes() -> None:
    grouped = table().group_by("user as `my user`").select("`my user`, sum(amount) as s")
    grouped.open_stream("s")
    assert list(fleet_of(grouped).specs[0].outputs) == [0, 1]
