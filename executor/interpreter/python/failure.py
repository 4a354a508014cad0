"""Describes an exception as plain data, so that nobody needs its class to show it. Runs on CPython 3.9 and newer."""

import linecache
import traceback

MAX_DEPTH = 8
MAX_FRAMES = 50
MAX_GROUP = 16
MAX_MESSAGE = 4096


def describe(error, depth=0):
    """The exception as a dict: type, message, text, frames, cause, explicit_cause, group, notes."""
    tree = {
        "type": _type_name(type(error)),
        "message": _message(error),
        "frames": _frames(error.__traceback__),
    }
    if depth == 0:
        tree["text"] = _text(error)
    notes = getattr(error, "__notes__", None)
    if isinstance(notes, list):
        tree["notes"] = [str(note)[:MAX_MESSAGE] for note in notes if isinstance(note, str)]
    if depth >= MAX_DEPTH:
        return tree
    cause = error.__cause__
    if cause is None and not error.__suppress_context__:
        cause = error.__context__
    if cause is not None:
        tree["cause"] = describe(cause, depth + 1)
        tree["explicit_cause"] = error.__cause__ is not None
    members = getattr(error, "exceptions", None)
    if isinstance(members, tuple):
        members = [member for member in members if isinstance(member, BaseException)]
        tree["group"] = [describe(member, depth + 1) for member in members[:MAX_GROUP]]
    return tree


def _type_name(cls):
    if cls.__module__ in ("builtins", "__main__", None):
        return cls.__qualname__
    return cls.__module__ + "." + cls.__qualname__


def _message(error):
    try:
        return str(error)[:MAX_MESSAGE].encode("utf-8", "backslashreplace").decode("utf-8")
    except BaseException as second:
        return "<str() of the exception raised " + type(second).__name__ + ">"


def _frames(trace):
    frames = []
    while trace is not None:
        code = trace.tb_frame.f_code
        line = trace.tb_lineno or 0
        source = linecache.getline(code.co_filename, line, trace.tb_frame.f_globals).strip()
        frames.append((code.co_filename, line, code.co_name, source[:500]))
        trace = trace.tb_next
    if len(frames) > MAX_FRAMES:
        half = MAX_FRAMES // 2
        frames = frames[:half] + frames[-half:]
    return frames


def _text(error):
    try:
        lines = traceback.format_exception(type(error), error, error.__traceback__)
        return "".join(lines).encode("utf-8", "backslashreplace").decode("utf-8")
    except BaseException:
        return "".join(traceback.format_tb(error.__traceback__))
