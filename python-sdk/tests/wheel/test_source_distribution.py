"""What `make release` publishes as source can be installed: the SDK alone, as a wheel of the same version."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from udfleet._local import binaries

PROJECT = Path(__file__).resolve().parents[2]
USE = """
import udfleet
from udfleet.table.expressions import col
assert udfleet.udf(lambda a: a, "BIGINT", "BIGINT").name and col("a") is not None
print(udfleet.__version__, udfleet.__file__)
"""


def test_it_installs_where_nothing_of_the_checkout_is(tmp_path: Path) -> None:
    build = [sys.executable, "-m", "hatchling", "build", "-t", "sdist", "-d", str(tmp_path / "dist")]
    subprocess.run(build, cwd=PROJECT, check=True, capture_output=True, timeout=120)
    (archive,) = (tmp_path / "dist").iterdir()
    place = tmp_path / "place"
    # It is built once more there, by what its own pyproject.toml asks for.
    install = [str(binaries.find_uv()), "pip", "install", "--quiet", "--no-deps", "--target", str(place), str(archive)]
    subprocess.run(install, cwd=tmp_path, check=True, capture_output=True, timeout=300)
    assert not (place / "udfleet" / "_bin").exists(), "programs come with wheels"
    # Without the site packages' .pth files, one of which names the checkout.
    command = [sys.executable, "-S", "-c", f"import sys; sys.path.insert(0, {str(place)!r})\n{USE}"]
    done = subprocess.run(command, cwd=tmp_path, check=True, capture_output=True, text=True, timeout=60)
    version, file = done.stdout.split()
    assert archive.name == f"udfleet-{version}.tar.gz" and Path(file).is_relative_to(place)
