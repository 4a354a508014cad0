"""What functions count themselves, over interpreters that come and go; row errors; progress with metrics."""

from __future__ import annotations

import datetime
import json
import re
import urllib.error
import urllib.request

import pyarrow as pa
import pytest
from fleet_support import BIGINT, STRING, batches, eventually, failure_of, run_cli

import udfleet
from udfleet import BundleProgressHandler, FunctionContext, ScalarFunction, udf
from udfleet._client.fleet import Fleet
from udfleet.cli.output import plain


class Counting(ScalarFunction):
    def open(self, function_context: FunctionContext):
        group = function_context.get_metric_group()
        self.rows = group.counter("rows")
        inner = group.add_group("shape").add_group("kind", "int")
        self.values = inner.histogram("values")
        self.sizes = inner.distribution("sizes")
        self.events = group.meter("events", 30)
        group.gauge("double", lambda: 2 * self.rows.get_count())
        self.task = function_context.get_task_name()

    def eval(self, value):
        self.rows.inc()
        self.values.update(value)
        self.sizes.update(value % 10)
        self.events.mark_event(2)
        return value


@pytest.fixture
def counting(fleet: Fleet):
    fleet.register_function("counted_exactly", udf(Counting(), [BIGINT], BIGINT))
    yield "counted_exactly"
    fleet.drop_function("counted_exactly")


def page(fleet, path):
    """What the coordinator's JSON API says."""
    headers = {"authorization": f"Bearer {fleet.token}"}
    request = urllib.request.Request(f"http://{fleet.http_address}/api/v1/{path}", headers=headers)
    return json.loads(urllib.request.urlopen(request).read())


def test_the_json_api_tells_what_the_sdk_does(fleet, counting):
    (served,) = page(fleet, f"functions/{counting}")
    view = plain(fleet.function(counting))
    created = datetime.datetime.fromtimestamp(served.pop("created_unix_ms") / 1000, datetime.timezone.utc)
    assert created.isoformat() == view.pop("created")
    assert served == view
    executors = {executor["id"]: executor for executor in page(fleet, "executors")}
    assert set(executors) == {executor.id for executor in fleet.executors()}
    for executor in fleet.executors():
        told = set(plain(executor)) - {"certificate_ends"} | {"certificate_ends_unix"}
        assert set(executors[executor.id]) == told
    with pytest.raises(urllib.error.HTTPError) as refused:
        page(fleet, "functions/counted_exactl")
    assert refused.value.code == 404
    error = json.loads(refused.value.read())["error"]
    assert error["code"] == "FUNCTION_NOT_FOUND" and "counted_exactly" in error["message"] + error["hint"]


def metrics(fleet: Fleet, name: str):
    return {metric.name: metric for metric in fleet.progress(name).total.metrics}


def test_executors_add_up_exactly(fleet, counting):
    total = sum(batch.num_rows for batch in fleet.stream(counting, batches(200, 500)))
    view = eventually("all rows are told", lambda: _complete(fleet, counting, total))
    assert len([executor for executor in view.executors.values() if executor.rows]) == 2
    found = metrics(fleet, counting)
    assert (found["rows"].kind, found["events"].count) == ("counter", 2 * total)
    sizes = found["shape.kind=int.sizes"]
    assert (sizes.count, sizes.sum, sizes.min, sizes.max) == (total, 4.5 * total, 0, 9)
    values = found["shape.kind=int.values"]
    for quantile, exact in ((values.p50, total * 0.5), (values.p95, total * 0.95), (values.p99, total * 0.99)):
        assert abs(quantile - exact) <= 0.011 * exact
    assert found["double"].kind == "gauge" and found["double"].value > 0
    text = urllib.request.urlopen(f"http://{fleet.http_address}/metrics").read().decode()
    (line,) = [
        line for line in text.splitlines() if line.startswith("udfleet_user") and "rows" in line and counting in line
    ]
    assert float(line.rpartition(" ")[2]) == total
    shown = run_cli(fleet, "progress", counting).stdout
    assert re.search("shape.kind=int.values +histogram", shown)
    (served,) = page(fleet, f"progress/{counting}")
    of_sdk = plain(fleet.progress(counting))
    told, expected = served["total"].pop("metrics"), of_sdk["total"].pop("metrics")
    assert served["total"] == of_sdk["total"] and set(served["executors"]) == set(of_sdk["executors"])
    # Percentiles are computed twice: the last digits may differ.
    assert told == [pytest.approx(metric) for metric in expected]


def _complete(fleet, name, rows):
    view = fleet.progress(name)
    found = {metric.name: metric for metric in view.total.metrics}
    return view if view.total.rows == rows == (found["rows"].count if "rows" in found else 0) else None


class Fatal(ScalarFunction):
    def open(self, function_context):
        self.rows = function_context.get_metric_group().counter("rows")

    def eval(self, value):
        import os

        self.rows.inc()
        if value < 0:
            os._exit(7)
        return value


def test_what_a_dead_interpreter_had_counted_stays(fleet):
    fleet.register_function("fatal", udf(Fatal(), [BIGINT], BIGINT), config={"udfleet.executors": 1})
    fleet.call("fatal", list(range(10)))
    eventually(
        "the rows are told", lambda: metrics(fleet, "fatal").get("rows") and metrics(fleet, "fatal")["rows"].count == 10
    )
    failure_of(udfleet.InterpreterCrashedError, fleet.call, "fatal", [-1])
    assert fleet.call("fatal", [1, 2]).to_pylist() == [1, 2]
    eventually("both interpreters' rows", lambda: metrics(fleet, "fatal")["rows"].count == 12)


def test_without_metrics_there_is_no_group(fleet):
    function = udf(Fatal(), [BIGINT], BIGINT)
    error = failure_of(
        udfleet.LoadError, fleet.register_function, "unmeasured", function, config={"python.metric.enabled": False}
    )
    assert "python.metric.enabled" in str(error)


def test_row_errors_are_counted_and_kept(fleet):
    fleet.register_function("lenient", udf(lambda text: int(text), STRING, BIGINT), on_error="skip")
    texts = [f"x{n}" if n % 10 == 0 else str(n) for n in range(1000)]
    assert len(fleet.call("lenient", texts)) == 900
    found = eventually("row errors", lambda: fleet.row_errors("lenient"))
    assert sum(view.count for view in found) == 100
    first = found[0].first[0]
    assert isinstance(first, udfleet.UserCodeError) and first.row % 10 == 0 and first.exception.type == "ValueError"
    eventually("the count", lambda: fleet.progress("lenient").total.row_errors == 100)
    shown = run_cli(fleet, "errors", "lenient").stdout
    assert "rows failed" in shown and "invalid literal for int() with base 10: 'x" in shown


class Recorder(BundleProgressHandler):
    def __init__(self):
        self.completed = []

    def on_completed(self, response):
        self.completed.append(response)


def test_bundles_are_cut_by_size_and_tell_metrics(fleet):
    fleet.register_function(
        "bundled", udf(Counting(), [BIGINT], BIGINT), config={"python.fn-execution.bundle.size": 1000}
    )
    handler = Recorder()
    answers = fleet.stream("bundled", batches(40, 500), progress_handler=handler)
    assert pa.Table.from_batches(answers).num_rows == 20_000
    assert sum(done.rows_in for done in handler.completed) == 20_000 and len(handler.completed) >= 18
    assert {metric.name for metric in handler.completed[-1].metrics["bundled@1"]} >= {"rows", "events"}
