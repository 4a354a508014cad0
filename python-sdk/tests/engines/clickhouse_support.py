"""Queries in chdb."""

from __future__ import annotations

import re
from pathlib import Path

import chdb
import pytest


class Sql:
    """Runs queries with the functions of one folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __call__(self, query: str) -> str:
        """The result as tab-separated lines."""
        return chdb.query(query, "TSV", udf_path=str(self.folder)).bytes().decode().rstrip("\n")

    def fails(self, query: str) -> str:
        """What ClickHouse says when the query fails, its own stack left out."""
        with pytest.raises(Exception, match="DB::Exception") as caught:
            self(query)
        return re.split(r", Stack trace|\. \(UNSUPPORTED_METHOD\)", str(caught.value))[0]
