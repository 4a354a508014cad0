"""The examples run as they stand, and print what they are about."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"

FLIP_58 = """\
[{'_c0': 2, '_c1': 1, '_c2': 3, '_c3': 2, '_c4': 4}, {'_c0': 4, '_c1': 3, '_c2': 7, '_c3': 12, '_c4': 16}]
[{'a': 1, '_c1': 11, '_c2': 202, '_c3': '<x>'}, {'a': 2, '_c1': 21, '_c2': 402, '_c3': '<y>'}]
{'a': 'u#vw', 'b': 2, 'x': 'u', 'y': 1, 'm': 0, 'n': 'u0'}
{'a': 'u#vw', 'b': 2, 'x': 'u', 'y': 1, 'm': 1, 'n': 'u1'}
{'a': 'u#vw', 'b': 2, 'x': 'vw', 'y': 2, 'm': 0, 'n': 'vw0'}
{'a': 'u#vw', 'b': 2, 'x': 'vw', 'y': 2, 'm': 1, 'n': 'vw1'}
{'a': '', 'b': 1, 'x': '', 'y': 0, 'm': 0, 'n': '0'}
['u', 'vw', '']
['u', 'vw', '']
"""
TEXT_CLEANUP = """\
{'id': 1, 'text': 'great phone!!! battery lasts forever & more :)'}
{'id': 2, 'text': 'terrible… broke after 2 days. see'}
{'id': 3, 'text': None}
{'id': 4, 'text': 'great battery, great camera'}
[('battery', 2), ('great', 3)]
"""
JSON_EXPLODE = """\
{'number': 1, 'sku': 'A1', 'quantity': 2, 'price': '9.99'}
{'number': 1, 'sku': 'B7', 'quantity': 1, 'price': '5.00'}
{'number': 3, 'sku': 'A1', 'quantity': 5, 'price': '9.50'}
[('A1', '67.48'), ('B7', '5.00')]
items@1 USER_CODE json.decoder.JSONDecodeError
"""
FRAUD_SCORE = "198 of 10000 payments look odd; 198 of the 200 that are odd are among them\n"


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("flip58", FLIP_58),
        ("text_cleanup", TEXT_CLEANUP),
        ("json_explode", JSON_EXPLODE),
        ("fraud_score", FRAUD_SCORE),
    ],
    ids=lambda value: value if "\n" not in value else "",
)
def test_an_example(name, expected, tmp_path):
    command = [sys.executable, str(EXAMPLES / f"{name}.py")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, cwd=tmp_path)
    assert (done.returncode, done.stdout) == (0, expected), done.stderr
