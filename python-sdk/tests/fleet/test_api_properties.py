"""Whatever is asked of /api/v1, its answer is an answer: requests are made of its OpenAPI document."""

from __future__ import annotations

import http.client
import json
from typing import Any
from urllib.parse import quote, urlencode

import pytest
from fleet_support import BIGINT
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from udfleet import udf

KNOWN = [
    "probed",
    "probed@1",
    "executor-1",
    "fleet",
    "function:probed@1",
    "executor:executor-1",
    "5m",
    "1h",
    "24h",
    "0",
]
"""What is there, so that not everything is refused."""

text = st.text(max_size=40) | st.sampled_from(
    [*KNOWN, "-1", "99999999999999999999", "a" * 5000, "%00", "../..", "error"]
)


@pytest.fixture(scope="module")
def api(fleet):
    fleet.register_function("probed", udf(lambda value: value, BIGINT, BIGINT))
    fleet.call("probed", [1, 2, 3])
    connection = http.client.HTTPConnection(fleet.http_address, timeout=30)

    def ask(method: str, path: str, body: bytes | None = None, **headers: str) -> tuple[int, bytes]:
        headers = {"Authorization": f"Bearer {fleet.token}", **headers}
        try:
            connection.request(method, path, body, headers)
            answer = connection.getresponse()
            return answer.status, answer.read()
        except http.client.HTTPException:
            connection.close()
            raise

    yield ask
    connection.close()


@pytest.fixture(scope="module")
def operations(api):
    """Paths that answer at once, with their parameters."""
    document = json.loads(api("GET", "/api/v1/openapi.json")[1])
    found = {
        path: methods["get"].get("parameters", []) for path, methods in document["paths"].items() if "get" in methods
    }
    del found["/api/v1/events"]
    assert len(found) > 15
    return found


def typed(answer: bytes) -> dict[str, Any]:
    """A refusal says why."""
    error: dict[str, Any] = json.loads(answer)["error"]
    assert error["code"].isupper() and error["message"]
    return error


@settings(max_examples=250, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_nothing_that_is_asked_breaks_the_api(api, operations, data):
    path = data.draw(st.sampled_from(sorted(operations)))
    query = {}
    for parameter in operations[path]:
        if parameter["in"] == "path":
            path = path.replace(f"{{{parameter['name']}}}", quote(data.draw(text), safe=""))
        elif parameter["required"] or data.draw(st.booleans()):
            query[parameter["name"]] = data.draw(text)
    target = f"{path}?{urlencode(query)}" if query else path
    status, answer = api("GET", target)
    assert status < 500, (status, target, answer[:500])
    if status == 200:
        json.loads(answer)


@settings(max_examples=100, deadline=None)
@given(names=st.lists(text, max_size=12))
def test_nothing_that_is_watched_breaks_the_stream(api, names):
    # With a topic that does not exist, so that the answer ends.
    status, answer = api("GET", f"/api/v1/events?{urlencode({'topics': ','.join([*names, 'nothing'])})}")
    assert status == 400 and typed(answer)["code"] == "INVALID_INPUT"


@settings(max_examples=100, deadline=None)
@given(body=st.binary(max_size=200) | st.text(max_size=50).map(lambda token: json.dumps({"token": token}).encode()))
def test_nothing_that_logs_in_breaks_the_session(api, body):
    status, _ = api("POST", "/api/v1/session", body, **{"Content-Type": "application/json"})
    assert 400 <= status < 500, (status, body)
