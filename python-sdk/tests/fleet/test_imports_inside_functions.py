"""Functions that import local modules when they run."""

from __future__ import annotations

import sys

from fleet_support import BIGINT, failure_of

import udfleet
from udfleet import udf


def test_they_find_them_there(fleet, tmp_path, monkeypatch):
    (tmp_path / "beside_one.py").write_text(
        "import beside_package.part\ndef g(x):\n    return beside_package.part.h(x)\n"
    )
    (tmp_path / "beside_package").mkdir()
    (tmp_path / "beside_package" / "__init__.py").write_text("")
    (tmp_path / "beside_package" / "part.py").write_text("def h(x):\n    return x + 1\n")
    monkeypatch.syspath_prepend(str(tmp_path))

    def f(x):
        import beside_one

        return beside_one.g(x)

    fleet.register_function("imports_beside", udf(f, BIGINT, BIGINT))
    assert fleet.call("imports_beside", [1, 2]).to_pylist() == [2, 3]
    assert "beside_one" not in sys.modules


def test_what_is_nowhere_is_named_with_the_way_out(fleet):
    def f(x):
        import beside_nobody

        return beside_nobody.g(x)

    fleet.register_function("imports_nothing", udf(f, BIGINT, BIGINT))
    error = failure_of(udfleet.UserCodeError, fleet.call, "imports_nothing", 1)
    assert "'beside_nobody'" in error.hint or '"beside_nobody"' in error.hint
    assert "files=[" in error.hint
