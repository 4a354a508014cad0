"""Expressions over columns: what `col`, `lit` and `call` make, and what strings are parsed into.

Needs no other package. Expressions never change; operators make new ones.
"""

from __future__ import annotations

from ..declaration import ConstantCalls, PlanExpression, UserDefinedFunctionWrapper
from .builtins import BuiltinMethods
from .composed import ComposedMethods
from .intervals import IntervalMethods
from .python_methods import PythonMethods

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any, Union

    from ..types import DataType
    from ..types.coerce import TypeLike

    Function = Union[str, UserDefinedFunctionWrapper[..., Any]]

MAX_DEPTH = 40
"""Deepest nesting of expressions in a plan; the coordinator's limit too."""


class Expression(PlanExpression, BuiltinMethods, ComposedMethods, IntervalMethods, PythonMethods):
    """A value per row. Arithmetic, comparisons, `&`, `|` and `~` make larger expressions."""

    __slots__ = ("repeats", "text")

    def __init__(self) -> None:
        self.text = ""
        """As the user wrote it; empty where no text was written."""
        self.repeats: tuple[str, tuple[Expression, ...]] | None = None
        """What evaluates arguments several times: its name for people, and these arguments."""

    __hash__ = object.__hash__

    def _call(self, function: Any, arguments: tuple[Any, ...]) -> Call:
        return Call(function, arguments)

    def _operation(self, operator: str, *operands: Any, field: str = "") -> Expression:
        return Operation(operator, self, *operands, field=field)

    def _aggregate(self, name: str) -> Call:
        return Call(name, (self,))

    def __bool__(self) -> bool:
        raise TypeError(f"{self} is an expression, not a value: use & for AND, | for OR, ~ for NOT")

    def __str__(self) -> str:
        from .render import render

        return self.text or render(self)

    def __repr__(self) -> str:
        return f"<expression {self}>"

    def __add__(self, other: Any) -> Expression:
        return Operation("PLUS", self, other)

    def __radd__(self, other: Any) -> Expression:
        return Operation("PLUS", other, self)

    def __sub__(self, other: Any) -> Expression:
        return Operation("MINUS", self, other)

    def __rsub__(self, other: Any) -> Expression:
        return Operation("MINUS", other, self)

    def __mul__(self, other: Any) -> Expression:
        return Operation("TIMES", self, other)

    def __rmul__(self, other: Any) -> Expression:
        return Operation("TIMES", other, self)

    def __truediv__(self, other: Any) -> Expression:
        return Operation("DIVIDE", self, other)

    def __rtruediv__(self, other: Any) -> Expression:
        return Operation("DIVIDE", other, self)

    def __mod__(self, other: Any) -> Expression:
        return Operation("MODULO", self, other)

    def __rmod__(self, other: Any) -> Expression:
        return Operation("MODULO", other, self)

    def __neg__(self) -> Expression:
        return Operation("NEGATE", self)

    def __eq__(self, other: object) -> Expression:  # type: ignore[override]
        return Operation("EQUAL", self, other)

    def __ne__(self, other: object) -> Expression:  # type: ignore[override]
        return Operation("NOT_EQUAL", self, other)

    def __lt__(self, other: Any) -> Expression:
        return Operation("LESS", self, other)

    def __le__(self, other: Any) -> Expression:
        return Operation("LESS_OR_EQUAL", self, other)

    def __gt__(self, other: Any) -> Expression:
        return Operation("GREATER", self, other)

    def __ge__(self, other: Any) -> Expression:
        return Operation("GREATER_OR_EQUAL", self, other)

    def __and__(self, other: Any) -> Expression:
        return Operation("AND", self, other)

    def __rand__(self, other: Any) -> Expression:
        return Operation("AND", other, self)

    def __or__(self, other: Any) -> Expression:
        return Operation("OR", self, other)

    def __ror__(self, other: Any) -> Expression:
        return Operation("OR", other, self)

    def __invert__(self) -> Expression:
        return Operation("NOT", self)

    def __iter__(self) -> Any:
        raise TypeError(f"{self} is an expression, not a list")

    @property
    def is_null(self) -> Expression:
        """Whether it is null."""
        return Operation("IS_NULL", self)

    @property
    def is_not_null(self) -> Expression:
        """Whether it is not null."""
        return Operation("IS_NOT_NULL", self)

    def like(self, pattern: Any) -> Expression:
        """Whether a text matches a pattern: `%` stands for any characters, `_` for one."""
        return Operation("LIKE", self, pattern)

    def between(self, least: Any, most: Any) -> Expression:
        """Whether it lies between two values, both included."""
        inside = Operation("AND", Operation("GREATER_OR_EQUAL", self, least), Operation("LESS_OR_EQUAL", self, most))
        return repeating("BETWEEN", inside, self)

    def not_between(self, least: Any, most: Any) -> Expression:
        """Whether it lies outside of two values."""
        outside = Operation("OR", Operation("LESS", self, least), Operation("GREATER", self, most))
        return repeating("NOT BETWEEN", outside, self)

    def in_(self, first: Any, *others: Any) -> Expression:
        """Whether it equals one of the values."""
        found: Expression = Operation("EQUAL", self, first)
        for other in others:
            found = Operation("OR", found, Operation("EQUAL", self, other))
        return repeating("IN", found, self) if others else found

    @property
    def is_true(self) -> Expression:
        """Whether it is true: neither false nor null."""
        return if_then_else(self, True, False)

    @property
    def is_false(self) -> Expression:
        """Whether it is false: neither true nor null."""
        return if_then_else(Operation("NOT", self), True, False)

    @property
    def is_not_true(self) -> Expression:
        """Whether it is false or null."""
        return if_then_else(self, False, True)

    @property
    def is_not_false(self) -> Expression:
        """Whether it is true or null."""
        return if_then_else(Operation("NOT", self), False, True)

    def if_null(self, otherwise: Any) -> Expression:
        """Itself, or another value where it is null."""
        return repeating("COALESCE", if_then_else(self.is_null, otherwise, self), self)

    @property
    def asc(self) -> Ordering:
        """In `order_by`: the least first, nulls before them."""
        return Ordering(self, descending=False)

    @property
    def desc(self) -> Ordering:
        """In `order_by`: the greatest first, nulls behind them."""
        return Ordering(self, descending=True)

    def cast(self, data_type: TypeLike) -> Expression:
        """As another type, given as a DataType, SQL text, a Python type or an Arrow type."""
        from ..types.coerce import data_type as as_data_type

        return Operation("CAST", self, data_type=as_data_type(data_type, "cast()"))

    def try_cast(self, data_type: TypeLike) -> Expression:
        """As another type; null where a value can't be cast."""
        from ..types.coerce import data_type as as_data_type

        return Operation("TRY_CAST", self, data_type=as_data_type(data_type, "try_cast()"))

    def get(self, field: str | int) -> Expression:
        """A field of a ROW, by its name or its position from 0."""
        if isinstance(field, bool) or not isinstance(field, (str, int)):
            raise TypeError(f"get() takes the name or the position of a field, not {field!r}")
        if isinstance(field, str):
            return Operation("GET", self, field=field)
        if field < 0:
            raise TypeError(f"get() takes a position from 0, not {field}")
        return Operation("GET", self, index=field)

    __getitem__ = get

    @property
    def flatten(self) -> Flattened:
        """In `select`: the fields of a ROW as columns, `r$a` and `r$b` of a column `r`."""
        return Flattened(expression(self))

    def then(self, if_true: Any, if_false: Any) -> Expression:
        """One value where this is true, else the other."""
        return if_then_else(self, if_true, if_false)

    def alias(self, *names: str) -> Named:
        """With a name for its column, or names for its columns."""
        return Named(self, names)


class Column(Expression):
    """A column of the table."""

    __slots__ = ("name",)

    def __init__(self, name: str) -> None:
        super().__init__()
        if not isinstance(name, str) or not name:
            raise TypeError(f"a column has a name, not {name!r}")
        self.name = name


class ColumnList(Expression):
    """Several columns; `column_lists` makes them and knows which they are."""

    __slots__ = ("parts", "without")

    def __init__(self, parts: Iterable[tuple[str | int, str | int]], without: bool) -> None:
        super().__init__()
        self.parts = tuple(parts)
        """First and last of each part: names, or positions from 1."""
        self.without = without
        """All but these."""


class Literal(Expression):
    """A value, the same for all rows; None is null."""

    __slots__ = ("data_type", "value")

    def __init__(self, value: Any, data_type: DataType) -> None:
        super().__init__()
        self.value = value
        self.data_type = data_type


class Call(Expression):
    """A call of a registered function, by name, or of a declared one."""

    __slots__ = ("arguments", "condition", "function", "is_distinct", "takes_row")

    def __init__(
        self,
        function: Function,
        arguments: Iterable[Any] = (),
        *,
        takes_row: bool = False,
        distinct: bool = False,
        condition: Expression | None = None,
    ) -> None:
        super().__init__()
        if not isinstance(function, (str, UserDefinedFunctionWrapper)):
            raise TypeError(f"a call names a function or has one that udf() declared, not {function!r}")
        self.function = function
        self.arguments = tuple(map(expression, arguments))
        self.takes_row = takes_row
        self.is_distinct = distinct
        self.condition = condition

    @property
    def distinct(self) -> Call:
        """Of an aggregate: equal arguments count once per group."""
        return Call(self.function, self.arguments, distinct=True, condition=self.condition)

    def filter(self, condition: Any) -> Call:
        """Of an aggregate: rows for which the condition is not true do not count."""
        return Call(self.function, self.arguments, distinct=self.is_distinct, condition=expression(condition))

    def _with(self, *further: Any) -> Call:
        """With further arguments."""
        return Call(self.function, (*self.arguments, *further), distinct=self.is_distinct, condition=self.condition)


class BuiltinCall(Call):
    """A call of a built-in function by name, whatever functions are registered."""

    __slots__ = ()


ConstantCalls.make = Call


class Operation(Expression):
    """An operator over expressions; `operator` is a name of plan.proto's Operation.Operator."""

    __slots__ = ("data_type", "field", "index", "operands", "operator")

    def __init__(
        self,
        operator: str,
        *operands: Any,
        data_type: DataType | None = None,
        field: str = "",
        index: int | None = None,
    ) -> None:
        super().__init__()
        self.operator = operator
        self.operands = tuple(map(expression, operands))
        self.data_type = data_type
        self.field = field
        self.index = index


class Named(Expression):
    """An expression with names for its columns."""

    __slots__ = ("expression", "names")

    def __init__(self, expression: Expression, names: Iterable[str]) -> None:
        super().__init__()
        self.expression = expression
        self.names = tuple(names)
        if not self.names or not all(isinstance(name, str) and name for name in self.names):
            raise TypeError(f"alias() takes names, not {self.names!r}")


class Flattened(Named):
    """A ROW whose fields become columns."""

    __slots__ = ()

    def __init__(self, expression: Expression) -> None:
        Expression.__init__(self)
        self.expression = expression
        self.names = ()

    def alias(self, *names: str) -> Named:
        """With names for the columns."""
        return Named(self.expression, names)


class Ordering:
    """A key of `order_by`."""

    __slots__ = ("descending", "expression")

    def __init__(self, expression: Expression, descending: bool) -> None:
        self.expression = expression
        self.descending = descending


def expression(value: Any) -> Expression:
    """The expression as it is, without its alias; any other value as a literal."""
    if isinstance(value, Named):
        return value.expression
    return value if isinstance(value, Expression) else lit(value)


def repeating(name: str, made: Expression, *arguments: Any) -> Expression:
    """The expression, which is new, marked as one that evaluates these arguments several times."""
    made.repeats = (name, tuple(expression(each) for each in arguments if isinstance(each, Expression)))
    return made


def col(name: str) -> Expression:
    """A column."""
    return Column(name)


def lit(value: Any, data_type: TypeLike | None = None) -> Expression:
    """A value as an expression; its type follows from the value, or is given."""
    from .literals import literal

    return literal(value, data_type)


def call(function: Function, *arguments: Any) -> Call:
    """A call: of the function of that name, or of what `udf` and its like made."""
    return Call(function, arguments)


def if_then_else(condition: Any, if_true: Any, if_false: Any) -> Expression:
    """One value where the condition is true, else the other."""
    return Operation("IF", condition, if_true, if_false)
