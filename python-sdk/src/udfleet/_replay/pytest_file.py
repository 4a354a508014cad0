"""A capsule as a pytest file."""

from __future__ import annotations

import re
from pathlib import Path

from ..errors import InvalidInputError
from .capsule_file import CapsuleFile

_TEXT = '''"""{function} failed with {failure}. Written by `udfleet replay --write-test`."""

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


def write_test(capsule: CapsuleFile, path: Path) -> Path:
    """Writes the test, and the capsule beside it, whose path it returns.

    :raises InvalidInputError: a file is there already, or can't be written.
    """
    summary, error = capsule.message.summary, capsule.error
    name = re.sub(r"\W+", "_", summary.function).strip("_")
    beside = path.with_name(f"{name}-{summary.id}.capsule")
    failure = f"{error.code} ({summary.exception})" if summary.exception else error.code
    text = _TEXT.format(function=summary.function, failure=failure, capsule=beside.name, name=name)
    try:
        with path.open("x", encoding="utf-8") as file:
            file.write(text)
        beside.write_bytes(capsule.message.SerializeToString())
    except OSError as wrong:
        raise InvalidInputError(f"{wrong.filename or path}: {wrong.strerror}") from None
    return beside
