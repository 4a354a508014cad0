"""What becomes of interpreters whose working folder has been deleted: the next one has a new one."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

import udfleet
from udfleet import DataTypes, udf


@udf(result_type=DataTypes.STRING())
def lies_in(word: str) -> str:
    return os.getcwd()


@udf(result_type=DataTypes.STRING())
def ends(word: str) -> str:
    os._exit(1)


@pytest.mark.parametrize("levels", [0, 1, 2])
def test_a_deleted_working_folder_is_made_again(levels):
    with udfleet.local(executors=1, interpreters=1) as fleet:
        fleet.register_function("lies_in", lies_in)
        fleet.register_function("ends", ends)
        folder = Path(fleet.call("lies_in", ["x"]).to_pylist()[0])
        # The working folder, the interpreter's, and that of all interpreters.
        shutil.rmtree([folder, *folder.parents][levels])
        with pytest.raises(udfleet.UdfleetError):
            fleet.call("ends", ["x"])
        again = Path(fleet.call("lies_in", ["x"]).to_pylist()[0])
        assert again.is_dir() and again != folder
