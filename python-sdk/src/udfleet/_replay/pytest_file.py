"""A capsule as a pytest file."""

from __future__ import annotations

import re
from pathlib import Path

from .. import _private_file
from ..errors import InvalidInputError
from .capsule_file import CapsuleFile

_TEXT = '''"""{what}. Written by `udfleet replay --write-test`."""

from pathlib import Path

import udfleet

# The batch that failed, with the code and the environment that it failed in.
CAPSULE = Path(__file__).with_name("{capsule}")
# None: that code. Import the mended function here, as declared with @udf, and this test says whether it is mended.
FUNCTION = None


def test_{name}_does_not_fail_any_more():
    replayed = udfleet.replay(CAPSULE, FUNCTION)
    assert replayed.error is None, replayed.error
'''

_UNSAFE = re.compile(r"[^\w.@, <>()]")
"""What a capsule names must not end the docstring: pytest runs the file."""


def write_test(capsule: CapsuleFile, path: Path) -> Path:
    """Writes the test, and the capsule beside it, whose path it returns.

    :raises InvalidInputError: a file is there already, or can't be written.
    """
    summary, error = capsule.message.summary, capsule.error
    name, number = _word(summary.function), _word(summary.id)
    beside = path.with_name(f"{name}-{number}.capsule")
    failure = f"{error.code} ({summary.exception})" if summary.exception else error.code
    what = _UNSAFE.sub("", f"{summary.function} failed with {failure}")
    text = _TEXT.format(what=what, capsule=beside.name, name=name)
    try:
        # Where the test can't be written, nothing is left of the capsule.
        with _private_file.create(beside) as file:
            file.write(capsule.message.SerializeToString())
            with path.open("x", encoding="utf-8") as test:
                test.write(text)
    except OSError as wrong:
        raise InvalidInputError(f"{wrong.filename or path}: {wrong.strerror}") from None
    return beside


def _word(text: str) -> str:
    return re.sub(r"\W+", "_", text).strip("_")
