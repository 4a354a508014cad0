from __future__ import annotations

import pytest
from fake_cluster import Cluster


@pytest.fixture
def cluster():
    made = Cluster(2)
    yield made
    made.close()
