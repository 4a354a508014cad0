"""Requirements: what they name on this machine travels, or is refused with its line and the way out."""

from __future__ import annotations

import pytest

from udfleet import Environment, InvalidDefinitionError, udf
from udfleet._packing.definition import build
from udfleet._packing.shipment import Shipment


def sent(requirements):
    environment = Environment(requirements=requirements)
    made = build("f", udf(len, "STRING", "INT"), environment, {}, {}, "j", Shipment()).environment
    return list(made.requirements), list(made.constraints)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    (tmp_path / "sub").mkdir()
    (tmp_path / "main.txt").write_text(
        "\ufeff# what is needed\nhaversine >= 2  # distance\n-r sub/more.txt\n--requirement=sub/more2.txt\n"
        "-c sub/limits.txt\nrequests \\\n  >= 2\n"
    )
    (tmp_path / "sub" / "more.txt").write_text("numpy\n-r ../main.txt\n")
    (tmp_path / "sub" / "more2.txt").write_text("-c limits2.txt\npandas\n")
    (tmp_path / "sub" / "limits.txt").write_text("# versions\nnumpy < 2\n-c limits2.txt\n")
    (tmp_path / "sub" / "limits2.txt").write_text("pandas < 3\n")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_included_files_and_constraints_travel(folder):
    lines = ["haversine >= 2  # distance", "numpy", "pandas", "requests >= 2"]
    assert sent(folder / "main.txt") == (lines, ["pandas < 3", "numpy < 2"])
    assert sent(["-rsub/more2.txt", "--constraint sub/limits.txt"]) == (["pandas"], ["pandas < 3", "numpy < 2"])


def test_what_is_no_path_of_this_machine_stays():
    lines = [
        "haversine", "torch @ https://example.org/torch-1.0-py3-none-any.whl", "-e git+https://example.org/x.git#egg=x",
        "--index-url https://example.org/simple", "--extra-index-url=https://example.org/simple", "--no-deps",
        "-f https://example.org/wheels", "--find-links /srv/wheels", "/srv/wheels/x-1.0-py3-none-any.whl",
        "file:///srv/wheels/x-1.0-py3-none-any.whl", "x[extra] >= 1 ; python_version < '3.12'", "-r https://example.org/r",
        "-c https://example.org/c.txt", "x @ file:///srv/x.whl", "--hash=sha256:ab",
    ]  # fmt: skip
    assert sent(lines) == (lines, [])


@pytest.mark.parametrize(
    ("line", "hint"),
    [
        ("./x-1.0-py3-none-any.whl", "requirements_cache"),
        ("x-1.0-py3-none-any.whl", "requirements_cache"),
        ("wheels/x-1.0.tar.gz", "requirements_cache"),
        ("../other", "requirements_cache"),
        (".[dev]", "requirements_cache"),
        ("x @ ./x-1.0-py3-none-any.whl", "requirements_cache"),
        ("x @ file:x-1.0-py3-none-any.whl", "requirements_cache"),
        ("-e .", "files="),
        ("--editable=src/x", "files="),
        ("-e /home/me/x", "files="),
        ("--find-links wheels", "requirements_cache='wheels'"),
        ("-fwheels", "requirements_cache='wheels'"),
        ("--index-url=mirror/simple", "requirements_cache"),
        ("-r absent.txt", None),
        ("-c absent.txt", None),
    ],
)
def test_paths_of_this_machine_are_refused(line, hint, folder):
    (folder / "bad.txt").write_text(f"# first\n\n{line}\n")
    for given, where in ((["numpy", line], "line 2"), (folder / "bad.txt", "line 3 of"), (["-r bad.txt"], "line 3 of")):
        with pytest.raises(InvalidDefinitionError) as caught:
            Environment(requirements=given)
        assert where in str(caught.value)
        assert caught.value.hint is None if hint is None else hint in caught.value.hint


def test_files_that_are_not_utf8(folder):
    (folder / "latin.txt").write_bytes(b"# caf\xe9\nnumpy\n")
    with pytest.raises(InvalidDefinitionError, match="not UTF-8"):
        Environment(requirements=folder / "latin.txt")
