"""What every engine refuses alike, when a function is registered with it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

import udfleet
from udfleet import InvalidDefinitionError


def check_refusals(register: Callable[..., Any]) -> None:
    """`register` takes a name, and on_error."""
    for name, why, hint in [
        ("letters", "takes scalar functions, this is a table function", "fleet.stream()"),
        ("total", "takes scalar functions, this is an aggregate function", "fleet.stream()"),
        ("anything", "has to know the types of its arguments", "input_types"),
    ]:
        with pytest.raises(InvalidDefinitionError) as caught:
            register(name)
        assert why in caught.value.message and hint in caught.value.hint
        assert caught.value.function == f"{name}@1"
    with pytest.raises(InvalidDefinitionError, match=r"rows that fail would be left out.*\n.*on_error='null'"):
        register("picky", on_error="skip")
    with pytest.raises(udfleet.FunctionNotFoundError) as caught:
        register("delay_clas")
    assert "delay_class" in caught.value.hint
