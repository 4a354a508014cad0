"""Every exception that udfleet raises: one class per error code, all of them `UdfleetError`. Needs no other package."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


class RemoteFrame:
    """One frame of a traceback on an interpreter, with the source line as it was there."""

    __slots__ = ("file", "function", "line", "source")

    def __init__(self, file: str, line: int, function: str, source: str) -> None:
        self.file = file
        self.line = line
        self.function = function
        self.source = source

    def __repr__(self) -> str:
        return f"RemoteFrame({self.file!r}, {self.line}, {self.function!r})"


class RemoteException:
    """A Python exception as it was on an interpreter. Its class need not exist here."""

    __slots__ = ("cause", "explicit_cause", "frames", "group", "message", "notes", "text", "type")

    def __init__(
        self,
        type: str,
        message: str,
        frames: list[RemoteFrame],
        cause: RemoteException | None = None,
        explicit_cause: bool = False,
        group: list[RemoteException] | None = None,
        notes: list[str] | None = None,
        text: str = "",
    ) -> None:
        self.type = type
        self.message = message
        self.frames = frames
        self.cause = cause
        self.explicit_cause = explicit_cause
        self.group = group or []
        self.notes = notes or []
        self.text = text

    def __str__(self) -> str:
        """As `traceback.format_exception` prints it, without a final newline."""
        return "\n".join(self._lines())

    def _lines(self) -> list[str]:
        lines: list[str] = []
        if self.cause is not None:
            link = (
                "The above exception was the direct cause of the following exception:"
                if self.explicit_cause
                else "During handling of the above exception, another exception occurred:"
            )
            lines += [*self.cause._lines(), "", link, ""]
        if self.frames:
            lines.append("Traceback (most recent call last):")
        for frame in self.frames:
            lines.append(f'  File "{frame.file}", line {frame.line}, in {frame.function}')
            if frame.source.strip():
                lines.append(f"    {frame.source.strip()}")
        lines.append(f"{self.type}: {self.message}" if self.message else self.type)
        lines += self.notes
        for number, member in enumerate(self.group, 1):
            lines.append(f"  +---------------- {number} ----------------")
            lines += [f"  | {line}" for line in member._lines()]
        return lines


class ProcessExit:
    """How an interpreter process ended."""

    __slots__ = ("last_stderr", "memory_limit_bytes", "peak_rss_bytes", "signal", "status")

    def __init__(
        self, signal: int, status: int, peak_rss_bytes: int, memory_limit_bytes: int, last_stderr: str
    ) -> None:
        self.signal = signal
        self.status = status
        self.peak_rss_bytes = peak_rss_bytes
        self.memory_limit_bytes = memory_limit_bytes
        self.last_stderr = last_stderr

    def __str__(self) -> str:
        how = f"signal {self.signal}" if self.signal else f"exit status {self.status}"
        limit = f" of {self.memory_limit_bytes >> 20} MiB" if self.memory_limit_bytes else ""
        text = f"ended with {how}, peak memory {self.peak_rss_bytes >> 20} MiB{limit}"
        return f"{text}; last stderr:\n{self.last_stderr.rstrip()}" if self.last_stderr.strip() else text


class UdfleetError(Exception):
    """What went wrong, where, and what to do about it.

    :ivar code: the error code, such as `"USER_CODE"`; constant per class.
    :ivar retryable: whether the same call may succeed when made again unchanged.
    :ivar function: `name@version`, or None.
    :ivar row: the row of the input at fault, from 0, or None.
    :ivar value: repr of the value at fault, or None.
    :ivar executor: where it happened, or None.
    :ivar attempt: which try it was, from 1, or None.
    :ivar hint: what to do about it, or None.
    :ivar exception: the user function's exception, or None.
    :ivar exit: how the interpreter ended, or None.
    :ivar expression: the part of a plan at fault, as it was written, or None.
    :ivar has_no_side_effects: true where it was refused before anything ran: trying again can't do it twice.
    """

    code: str = "INTERNAL"
    retryable: bool = False
    has_no_side_effects: bool = False

    def __init__(
        self,
        message: str,
        *,
        hint: str | None = None,
        function: str | None = None,
        row: int | None = None,
        value: str | None = None,
        executor: str | None = None,
        attempt: int | None = None,
        exception: RemoteException | None = None,
        exit: ProcessExit | None = None,
        expression: str | None = None,
        has_no_side_effects: bool | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.function = function
        self.row = row
        self.value = value
        self.executor = executor
        self.attempt = attempt
        self.exception = exception
        self.exit = exit
        self.expression = expression
        if has_no_side_effects is not None:
            self.has_no_side_effects = has_no_side_effects

    def __repr__(self) -> str:
        # Some engines show nothing else of an exception.
        return f"{type(self).__name__}({self._located()!r})"

    def _located(self) -> str:
        where = [self.function, None if self.row is None else f"row {self.row}", self.message]
        return ": ".join(part for part in where if part)

    def __str__(self) -> str:
        text = self._located()
        place = [
            f"executor {self.executor}" if self.executor else "",
            f"attempt {self.attempt}" if self.attempt and self.attempt > 1 else "",
        ]
        if any(place):
            text += f" ({', '.join(part for part in place if part)})"
        if self.value and self.value not in self.message:
            text += f"\nvalue: {self.value}"
        if self.expression and self.expression not in self.message:
            text += f"\nin: {self.expression}"
        if self.exception is not None:
            text += f"\n\n{self.exception}\n" if self.hint else f"\n\n{self.exception}"
        if self.exit is not None:
            text += f"\ninterpreter {self.exit}"
        return f"{text}\nhint: {self.hint}" if self.hint else text

    def __reduce__(self) -> tuple[Any, ...]:
        return (_rebuild, (type(self), self.message), self.__dict__)


def _rebuild(kind: type[UdfleetError], message: str) -> UdfleetError:
    return kind(message)


class UserCodeError(UdfleetError):
    """The user's function raised: see `.exception`."""

    code = "USER_CODE"


class ResultTypeError(UdfleetError):
    """What the function returned does not fit its declared result type."""

    code = "RESULT_TYPE"


class LoadError(UdfleetError):
    """The function can't be unpickled, imported or opened on an interpreter."""

    code = "LOAD_FAILED"


class CallTimeoutError(UdfleetError):
    """A batch ran past `udfleet.call.timeout`; its interpreter was killed."""

    code = "CALL_TIMEOUT"


class FunctionNotFoundError(UdfleetError):
    """No function of that name or version is registered."""

    code = "FUNCTION_NOT_FOUND"
    has_no_side_effects = True


class InvalidInputError(UdfleetError):
    """The columns given are not what the function takes."""

    code = "INVALID_INPUT"


class InvalidDefinitionError(UdfleetError):
    """The function can't be registered as it is."""

    code = "INVALID_DEFINITION"
    has_no_side_effects = True


class NotPicklableError(InvalidDefinitionError):
    """The function refers to something that can't be pickled."""


class InvalidConfigError(UdfleetError):
    """An unknown configuration key, or a value that it doesn't take."""

    code = "INVALID_CONFIG"
    has_no_side_effects = True


class LimitExceededError(UdfleetError):
    """A bound of the fleet; the message names it."""

    code = "LIMIT_EXCEEDED"


class UnauthenticatedError(UdfleetError):
    """The token is missing or wrong, or a certificate is: the client's or the server's."""

    code = "UNAUTHENTICATED"
    has_no_side_effects = True


class PermissionDeniedError(UdfleetError):
    """The caller is known, and may not do this; the message names what is missing."""

    code = "PERMISSION_DENIED"
    has_no_side_effects = True


class ArtifactMissingError(UdfleetError):
    """The coordinator lacks a file that a definition names."""

    code = "ARTIFACT_MISSING"
    has_no_side_effects = True


class InvalidPlanError(UdfleetError):
    """A plan whose columns, functions or types do not go together; `.expression` is the part at fault."""

    code = "INVALID_PLAN"
    has_no_side_effects = True


class InfeasibleError(UdfleetError):
    """No executor of the fleet could ever run the function."""

    code = "INFEASIBLE"
    has_no_side_effects = True


class EnvironmentFailedError(UdfleetError):
    """The function's environment could not be built."""

    code = "ENVIRONMENT_FAILED"
    has_no_side_effects = True


class NoCapacityError(UdfleetError):
    """There is no room now; try again later."""

    code = "NO_CAPACITY"
    has_no_side_effects = True
    retryable = True


class InterpreterCrashedError(UdfleetError):
    """The interpreter died under the call, on every attempt: see `.exit`."""

    code = "INTERPRETER_CRASHED"
    retryable = True


class ExecutorLostError(UdfleetError):
    """Executors went away under the call, on every attempt."""

    code = "EXECUTOR_LOST"
    retryable = True


class MemoryExceededError(UdfleetError):
    """The function took more memory than its interpreter may."""

    code = "MEMORY_EXCEEDED"


class VersionMismatchError(UdfleetError):
    """The SDK and the fleet are of different minor versions."""

    code = "VERSION_MISMATCH"
    has_no_side_effects = True


class InternalError(UdfleetError):
    """A fault of udfleet itself."""

    code = "INTERNAL"


class UnreachableError(UdfleetError):
    """The coordinator can't be reached. Only clients raise it."""

    code = "UNREACHABLE"
    retryable = True


class ForkedProcessError(UnreachableError):
    """Used in a process that was forked from a connected one, where gRPC does not work. Only clients raise it."""

    retryable = False


class StartupError(UdfleetError):
    """`udfleet.local()` could not start its processes."""

    code = "STARTUP"


BY_CODE: dict[str, type[UdfleetError]] = {
    kind.code: kind
    for kind in (
        UserCodeError,
        ResultTypeError,
        LoadError,
        CallTimeoutError,
        FunctionNotFoundError,
        InvalidInputError,
        InvalidPlanError,
        InvalidDefinitionError,
        InvalidConfigError,
        LimitExceededError,
        UnauthenticatedError,
        PermissionDeniedError,
        ArtifactMissingError,
        InfeasibleError,
        EnvironmentFailedError,
        NoCapacityError,
        InterpreterCrashedError,
        ExecutorLostError,
        MemoryExceededError,
        VersionMismatchError,
        InternalError,
    )
}
"""The class of each code that travels."""
