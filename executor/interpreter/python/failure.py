"""Describes an exception as plain data, so that nobody needs its class to show it. Runs on CPython 3.9 and newer.

Whatever the exception's own code does (a property that raises, a str() of 1 GB, a cycle of causes), it is described, and
the description is bounded and valid Unicode. Imported before user code is on sys.path: a user's `types.py` must not
shadow what this module needs.
"""

import linecache
import traceback

MAX_DEPTH = 8
MAX_FRAMES = 50
MAX_GROUP = 16
MAX_NODES = 64
MAX_NOTES = 16
MAX_MESSAGE = 4096
MAX_LINE = 500
MAX_LONG_MESSAGE = 1 << 16
# Values of secrets, longest first: filled before any user code runs.
MASKED = []


def describe(error):
    """The exception as a dict: type, message, text, frames, cause, explicit_cause, group, notes."""
    walk = _Walk()
    tree = walk.node(error, 0)
    tree["text"] = _own_text(tree) if walk.cut else _text(error) or _own_text(tree)
    return tree


def clean(text, limit=MAX_MESSAGE):
    """Valid Unicode without NUL, at most so long, without the values of secrets."""
    if MASKED:
        longest = len(MASKED[0])
        cut = len(text) > limit + 2 * longest
        text = text[: limit + 2 * longest]
        for value in MASKED:
            text = text.replace(value, "***")
        # Where it was cut, its end may be the beginning of a value.
        text = text[: len(text) - longest] if cut else text
    text = text[:limit].replace("\0", "\\x00")
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


class _Walk:
    """Goes over an exception with its causes and members, each once."""

    def __init__(self):
        self._seen = set()
        # Something was left out: traceback's own text would have it all, however long that is.
        self.cut = False

    def node(self, error, depth):
        self._seen.add(id(error))
        message = _message(error)
        self.cut |= len(message) > MAX_LONG_MESSAGE
        tree = {
            "type": type_name(type(error)),
            "message": clean(message),
            "frames": _frames(BaseException.__traceback__.__get__(error)),
            "notes": _notes(error),
        }
        cause, explicit = _cause(error)
        if cause is not None and self._may_enter(cause, depth):
            tree["cause"] = self.node(cause, depth + 1)
            tree["explicit_cause"] = explicit
        members = _members(error)
        if members:
            self.cut |= len(members) > MAX_GROUP
            members = [member for member in members[:MAX_GROUP] if self._may_enter(member, depth)]
            tree["group"] = [self.node(member, depth + 1) for member in members]
        return tree

    def _may_enter(self, error, depth):
        if id(error) in self._seen:
            return False
        if depth >= MAX_DEPTH or len(self._seen) >= MAX_NODES:
            self.cut = True
            return False
        return True


def _cause(error):
    """The cause or else the context, and whether it was named by `raise ... from`."""
    # The slots themselves: a class may have properties of these names.
    cause = BaseException.__cause__.__get__(error)
    if cause is not None:
        return cause, True
    if BaseException.__suppress_context__.__get__(error):
        return None, False
    return BaseException.__context__.__get__(error), False


def _members(error):
    try:
        members = getattr(error, "exceptions", None)
    except BaseException:
        return ()
    if type(members) is not tuple:
        return ()
    return [member for member in members if issubclass(type(member), BaseException)]


def _notes(error):
    try:
        notes = getattr(error, "__notes__", None)
        if type(notes) is not list:
            return []
        return [clean(str.__str__(note)) for note in notes[:MAX_NOTES] if issubclass(type(note), str)]
    except BaseException:
        return []


def type_name(cls):
    """With its module, where that says anything."""
    try:
        module, name = type.__getattribute__(cls, "__module__"), type.__getattribute__(cls, "__qualname__")
        if type(module) is not str or module in ("builtins", "__main__"):
            return clean(name, MAX_LINE)
        return clean(module + "." + name, MAX_LINE)
    except BaseException:
        return "Exception"


def _message(error):
    try:
        return str.__str__(str(error))
    except BaseException as second:
        return "<str() of the exception raised " + type_name(type(second)) + ">"


def _frames(trace):
    found, size = [], 0
    while trace is not None:
        found.append(trace)
        size += 1
        if len(found) > 2 * MAX_FRAMES:
            # The outermost and the innermost tell most.
            del found[MAX_FRAMES // 2 : -(MAX_FRAMES // 2)]
        trace = trace.tb_next
    if len(found) > MAX_FRAMES:
        del found[MAX_FRAMES // 2 : -(MAX_FRAMES // 2)]
    return [_frame(trace) for trace in found]


def _frame(trace):
    code, line = trace.tb_frame.f_code, trace.tb_lineno or 0
    try:
        source = linecache.getline(code.co_filename, line, trace.tb_frame.f_globals).strip()
    except BaseException:
        source = ""
    return clean(code.co_filename, MAX_LINE), line, clean(code.co_name, MAX_LINE), clean(source, MAX_LINE)


def _text(error):
    """As Python prints it; None where even that fails."""
    try:
        lines = traceback.format_exception(type(error), error, BaseException.__traceback__.__get__(error))
        return clean("".join(lines), MAX_LONG_MESSAGE)
    except BaseException:
        return None


def _own_text(tree):
    """The like of it from what is described."""
    parts = []
    while tree is not None:
        lines = ["Traceback (most recent call last):"] if tree["frames"] else []
        for file, line, function, source in tree["frames"]:
            lines.append('  File "{}", line {}, in {}'.format(file, line, function))
            lines += ["    " + source] if source else []
        lines.append(tree["type"] + (": " + tree["message"] if tree["message"] else ""))
        parts.append("\n".join(lines + tree["notes"]) + "\n")
        if "cause" in tree and tree["explicit_cause"]:
            parts.append("\nThe above exception was the direct cause of the following exception:\n\n")
        elif "cause" in tree:
            parts.append("\nDuring handling of the above exception, another exception occurred:\n\n")
        tree = tree.get("cause")
    return "".join(reversed(parts))
