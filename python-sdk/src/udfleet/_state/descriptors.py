"""What a function says of its state: name, type, and how long values live. PyFlink's words."""

from __future__ import annotations

from enum import Enum

from ..types import DataType

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import timedelta
    from typing import Any


class UpdateType(Enum):
    """What begins a value's time anew."""

    Disabled = 0
    OnCreateAndWrite = 1
    OnReadAndWrite = 2


class StateVisibility(Enum):
    """Whether values are returned whose time is up."""

    ReturnExpiredIfNotCleanedUp = 0
    NeverReturnExpired = 1


# Within the config these names mean its attributes.
_UpdateType = UpdateType
_Visibility = StateVisibility


class StateTtlConfig:
    """How long values live, in processing time. Elements of lists and entries of maps have times of their own."""

    UpdateType = UpdateType
    StateVisibility = StateVisibility

    __slots__ = ("milliseconds", "update_type", "visibility")

    def __init__(self, milliseconds: int, update_type: _UpdateType, visibility: _Visibility) -> None:
        if milliseconds <= 0:
            raise ValueError(f"the time that state lives must be positive, not {milliseconds} ms")
        self.milliseconds = milliseconds
        self.update_type = update_type
        self.visibility = visibility

    @staticmethod
    def new_builder(ttl: timedelta) -> StateTtlBuilder:
        """A builder of a config for values that live this long."""
        return StateTtlBuilder(ttl)

    def is_enabled(self) -> bool:
        """Whether values expire."""
        return self.update_type is not UpdateType.Disabled


class StateTtlBuilder:
    """Sets the parts of a `StateTtlConfig` one by one."""

    def __init__(self, ttl: timedelta) -> None:
        self._milliseconds = int(ttl.total_seconds() * 1000)
        self._update_type = UpdateType.OnCreateAndWrite
        self._visibility = StateVisibility.NeverReturnExpired

    def set_update_type(self, update_type: UpdateType) -> StateTtlBuilder:
        """What begins a value's time anew."""
        self._update_type = update_type
        return self

    def update_ttl_on_create_and_write(self) -> StateTtlBuilder:
        """A value's time begins when it is written. The default."""
        return self.set_update_type(UpdateType.OnCreateAndWrite)

    def update_ttl_on_read_and_write(self) -> StateTtlBuilder:
        """A value's time begins anew when it is read, too."""
        return self.set_update_type(UpdateType.OnReadAndWrite)

    def set_state_visibility(self, visibility: StateVisibility) -> StateTtlBuilder:
        """Whether values are returned whose time is up."""
        self._visibility = visibility
        return self

    def never_return_expired(self) -> StateTtlBuilder:
        """Values whose time is up are gone. The default."""
        return self.set_state_visibility(StateVisibility.NeverReturnExpired)

    def return_expired_if_not_cleaned_up(self) -> StateTtlBuilder:
        """Values whose time is up are returned while they are still there."""
        return self.set_state_visibility(StateVisibility.ReturnExpiredIfNotCleanedUp)

    def build(self) -> StateTtlConfig:
        """The config."""
        return StateTtlConfig(self._milliseconds, self._update_type, self._visibility)


class StateDescriptor:
    """A state's name and type. A function's states have different names."""

    def __init__(self, name: str, type_info: DataType) -> None:
        if not isinstance(name, str) or not name:
            raise ValueError(f"a state's name must be a text that is not empty, not {name!r}")
        if not isinstance(type_info, DataType):
            raise TypeError(f"state {name!r}: the type must be a DataType, not {type_info!r}")
        self.name = name
        self.type_info = type_info
        self.ttl: StateTtlConfig | None = None

    def get_name(self) -> str:
        """The state's name."""
        return self.name

    def enable_time_to_live(self, ttl_config: StateTtlConfig) -> None:
        """Lets values expire."""
        self.ttl = ttl_config if ttl_config.is_enabled() else None


class ValueStateDescriptor(StateDescriptor):
    """One value for each key."""


class ListStateDescriptor(StateDescriptor):
    """A list for each key; the type is that of its elements."""


class MapStateDescriptor(StateDescriptor):
    """A map for each key."""

    def __init__(self, name: str, key_type_info: DataType, value_type_info: DataType) -> None:
        super().__init__(name, value_type_info)
        if not isinstance(key_type_info, DataType):
            raise TypeError(f"state {name!r}: the type of keys must be a DataType, not {key_type_info!r}")
        self.key_type_info = key_type_info


class ReducingStateDescriptor(StateDescriptor):
    """One value for each key, which a function makes of the value before and what is added."""

    def __init__(self, name: str, reduce_function: Callable[[Any, Any], Any], type_info: DataType) -> None:
        super().__init__(name, type_info)
        reduce = getattr(reduce_function, "reduce", reduce_function)
        if not callable(reduce):
            raise TypeError(f"state {name!r}: {reduce_function!r} is neither a function nor has it a method reduce")
        self.reduce_function: Callable[[Any, Any], Any] = reduce


class AggregatingStateDescriptor(StateDescriptor):
    """An accumulator for each key; `agg_function` has `create_accumulator`, `add` and `get_result`."""

    def __init__(self, name: str, agg_function: Any, state_type_info: DataType) -> None:
        super().__init__(name, state_type_info)
        missing = [name for name in ("create_accumulator", "add", "get_result") if not hasattr(agg_function, name)]
        if missing:
            raise TypeError(f"state {name!r}: {agg_function!r} has no {' and no '.join(missing)}")
        self.agg_function = agg_function
