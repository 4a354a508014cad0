"""The types that a function's annotations say, where its declaration is given none. Runs on a bare Python."""

from __future__ import annotations

import sys

from ..functions import ImperativeAggregateFunction, UserDefinedFunction
from ..types import DataType, DataTypes
from ..types.python import PYTHON_NAMES

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

_FUTURE_ANNOTATIONS = 0x1000000
"""The flag of `from __future__ import annotations`, from Python 3.9 on: importing __future__ costs time."""
_ROWS = frozenset({"Iterator", "Iterable", "Generator", "list", "Sequence", "AsyncIterator"})
"""What a table function may return its rows in."""


def annotated_inputs(func: Any, lenient: bool) -> list[DataType] | None:
    """The types of the parameters; None where they leave them open, so that any columns are taken.

    Parameters with a default are left out: calls leave them out too.

    :param lenient: annotations that say no type leave all types open, instead of raising.
    :raises TypeError: naming the parameter whose annotation says no type while others do.
    """
    method, skipped = _input_method(func)
    parameters = _parameters(method)
    if parameters is None:
        return None
    found: list[DataType] = []
    open_ones: list[str] = []
    for parameter in parameters[skipped:]:
        if parameter.kind is parameter.VAR_POSITIONAL:
            return None
        if parameter.default is not parameter.empty or parameter.kind is parameter.VAR_KEYWORD:
            continue
        try:
            data_type = None if parameter.annotation is parameter.empty else _read(parameter.annotation, method)
        except TypeError as error:
            if lenient:
                return None
            raise TypeError(f"parameter {parameter.name!r}: {error}: say it with input_types=...") from None
        if data_type is None:
            open_ones.append(parameter.name)
        else:
            found.append(data_type)
    if not found:
        return [] if not parameters[skipped:] and not lenient else None
    if open_ones:
        if lenient:
            return None
        names = ", ".join(map(repr, open_ones))
        raise TypeError(f"annotations say no type for {names}: annotate all parameters, or give input_types=...")
    return found


def annotated_result(func: Any, of_rows: bool = False) -> DataType | None:
    """The type of what it returns; None where there is no annotation.

    :param of_rows: of a table function: the annotation is of all rows of one input row.
    :raises TypeError: what it returns is annotated, with what is no type.
    """
    method = _result_method(func)
    annotation = _return_annotation(method)
    if annotation is None:
        return None
    try:
        evaluated = _evaluated(annotation, method)
        if of_rows:
            evaluated = _row_of(evaluated)
        found = _from_annotation(evaluated, method)
    except TypeError as error:
        raise TypeError(f"its return annotation: {error}") from None
    return found


def _input_method(func: Any) -> tuple[Any, int]:
    """What takes the columns, and how many of its parameters take something else."""
    if isinstance(func, ImperativeAggregateFunction):
        return func.accumulate, 1
    method = getattr(func, "eval") if isinstance(func, UserDefinedFunction) else func  # noqa: B009
    code = getattr(func, "__code__", None)
    # A plain function that is written as a method: see selves.py.
    return method, int(code is not None and code.co_varnames[: code.co_argcount][:1] == ("self",))


def _result_method(func: Any) -> Any:
    if isinstance(func, ImperativeAggregateFunction):
        name = "emit_value" if hasattr(func, "emit_value") else "get_value"
        return getattr(func, name)
    return getattr(func, "eval") if isinstance(func, UserDefinedFunction) else func  # noqa: B009


def _parameters(method: Any) -> list[Any] | None:
    """None: it is no Python function, or has no signature that Python knows."""
    if not hasattr(_plain_function(method), "__code__"):
        return None
    import inspect

    try:
        parameters = list(inspect.signature(method).parameters.values())
    except (TypeError, ValueError, NameError):
        return None
    return parameters


def _return_annotation(method: Any) -> Any:
    function = _plain_function(method)
    try:
        return getattr(function, "__annotations__", {}).get("return")
    except NameError as error:  # annotations that are evaluated late
        raise TypeError(f"its return annotation: {error}") from None


def _plain_function(method: Any) -> Any:
    """The Python function behind partials, methods, callable objects and decorators."""
    functools = sys.modules.get("functools")
    for _ in range(100):
        if functools is not None and isinstance(method, functools.partial):
            method = method.func
        elif hasattr(method, "__func__"):
            method = method.__func__
        elif hasattr(method, "__wrapped__"):
            method = method.__wrapped__
        elif hasattr(method, "__code__") or isinstance(method, type) or not _has_own_call(method):
            return method
        else:
            method = type(method).__call__
    return method


def _has_own_call(method: Any) -> bool:
    return hasattr(getattr(type(method), "__call__", None), "__code__")  # noqa: B004


def _read(annotation: Any, method: Any) -> DataType | None:
    return _from_annotation(_evaluated(annotation, method), method)


def _from_annotation(annotation: Any, method: Any) -> DataType | None:
    """None: it leaves the type open."""
    from ..types.coerce import data_type
    from ..types.python import UnspecificTypeError, from_python, is_python_type

    if isinstance(annotation, (DataType, str)):
        return data_type(annotation, "the annotation")
    if not is_python_type(annotation):
        raise TypeError(f"the annotation {annotation!r:.100} is no type")
    try:
        return from_python(annotation)
    except UnspecificTypeError:
        return None
    except TypeError as error:
        raise TypeError(f"the annotation says no type: {error}") from None


def _row_of(annotation: Any) -> Any:
    """What one row is, of the annotation of all rows."""
    if isinstance(annotation, type) and not hasattr(annotation, "__origin__"):
        return annotation
    import typing

    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is typing.Union or type(annotation).__name__ == "UnionType":
        members = [member for member in arguments if member is not type(None)]
        return _row_of(members[0]) if len(members) == 1 else annotation
    return arguments[0] if getattr(origin, "__name__", "") in _ROWS and arguments else annotation


def _evaluated(annotation: Any, method: Any) -> Any:
    """An annotation that is text, as Python reads it; text in quotes may be SQL: then its DataType."""
    function = _plain_function(method)
    flags = getattr(getattr(function, "__code__", None), "co_flags", 0)
    quoted = not flags & _FUTURE_ANNOTATIONS  # with it all annotations are text
    for _ in range(2):
        if not isinstance(annotation, str):
            return annotation
        annotation = _read_text(annotation, function, quoted)
        quoted = True
    if isinstance(annotation, str):
        raise TypeError(f"the annotation {annotation!r} is text within text")
    return annotation


def _read_text(text: str, function: Any, quoted: bool) -> Any:
    try:
        return _evaluate(text, function)
    except Exception as error:  # what users write may raise anything
        if text in PYTHON_NAMES:  # imported for type checkers only
            return PYTHON_NAMES[text]
        try:
            if quoted:
                return DataTypes.parse(text)
        except ValueError:
            pass
        raise TypeError(f"the annotation {text!r} can't be read: {error}") from None


def _evaluate(text: str, function: Any) -> Any:
    import ast
    import builtins

    tree = ast.parse(text.strip(), mode="eval")
    if sys.version_info < (3, 10):
        tree = ast.fix_missing_locations(_union_operators(ast)().visit(tree))
    names = dict(zip(getattr(getattr(function, "__code__", None), "co_freevars", ()), _cells(function)))
    scope = {**vars(builtins), **getattr(function, "__globals__", {}), **names, "__Union__": _union}
    return eval(compile(tree, "<annotation>", "eval"), scope)  # noqa: S307 - Python's own would evaluate it too


def _cells(function: Any) -> list[Any]:
    found = []
    for cell in getattr(function, "__closure__", None) or ():
        try:
            found.append(cell.cell_contents)
        except ValueError:  # noqa: PERF203 - not assigned yet
            found.append(None)
    return found


def _union(left: Any, right: Any) -> Any:
    from typing import Union

    return Union[left, right]


def _union_operators(ast: Any) -> Callable[[], Any]:
    """Python 3.9 has no `int | None`: reads it as `Union[int, None]`."""

    class UnionOperators(ast.NodeTransformer):  # type: ignore[misc]
        def visit_BinOp(self, node: Any) -> Any:  # noqa: N802 - ast's name
            self.generic_visit(node)
            if not isinstance(node.op, ast.BitOr):
                return node
            function = ast.Name("__Union__", ast.Load())
            return ast.copy_location(ast.Call(function, [node.left, node.right], []), node)

    return UnionOperators
