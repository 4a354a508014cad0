"""status, functions, drain, progress."""

from __future__ import annotations

import datetime
import sys
from collections import Counter
from typing import TYPE_CHECKING

import click

from . import output
from .shared import connected, executor_name, function_name, json_option
from .tables import table

if TYPE_CHECKING:
    from collections.abc import Callable

    from .._client.tenants import TenantView
    from .._client.views import ExecutorView, FunctionView, ProgressView

_PENDING_LONG = datetime.timedelta(minutes=1)
_BAD_STATES = ("lost", "unreachable")
_GONE_STATES = (*_BAD_STATES, "stopped")
_CERTIFICATE_WARNING = datetime.timedelta(days=14)


@click.command(short_help="Functions, executors, why anything waits.")
@json_option
@click.pass_context
def status(ctx: click.Context, as_json: bool) -> None:
    """Functions and executors, and why anything waits. Exit status 1 when something failed or waits for long."""
    with connected(ctx) as fleet:
        functions, executors, outage = fleet.functions(), fleet.executors(), fleet.meta_store_outage
        tenants = fleet.tenants()
        ends = fleet.certificate_ends
    if as_json:
        told = {
            "functions": functions,
            "executors": executors,
            "tenants": tenants,
            "meta_store_outage": outage,
            "certificate_ends": ends,
        }
        output.print_json(told)
    else:
        _executors(executors)
        _devices(executors, functions)
        print()
        _functions(functions)
        _tenants(tenants)
        _reasons(functions)
        _sandboxes(executors)
        if outage:
            output.say(f"registrations and drains fail: the coordinator's metadata store is unavailable: {outage}")
        _certificates({"the coordinator": ends, **{e.id: e.certificate_ends for e in executors if e.state != "lost"}})
    sys.exit(1 if outage or any(map(_is_bad, functions)) or any(e.state in _BAD_STATES for e in executors) else 0)


def _is_bad(function: FunctionView) -> bool:
    age = datetime.datetime.now(datetime.timezone.utc) - function.created
    return function.state == "FAILED" or (function.state != "READY" and age > _PENDING_LONG)


def _executors(executors: list[ExecutorView]) -> None:
    rows = [
        [e.id, e.state, e.address, _minor_versions(e.pythons), f"{e.interpreters}/{e.max_interpreters}", e.in_flight,
         output.size(e.rss_bytes)]
        for e in executors
    ]  # fmt: skip
    table(["EXECUTOR", "STATE", "ADDRESS", "PYTHONS", "INTERPRETERS", "IN FLIGHT", "MEMORY"], rows)
    if not executors:
        output.say("hint: no executor is attached; start one with `udfleet-executor --coordinator HOST:PORT`")
    for executor in executors:
        if executor.state == "unreachable":
            where = ", ".join(executor.attached_to)
            output.say(f"{executor.id} is unreachable from this coordinator, and attached to the one at {where}")


def _sandboxes(executors: list[ExecutorView]) -> None:
    """How far functions are contained, and what is missing."""
    attached = [executor for executor in executors if executor.state not in _GONE_STATES]
    levels = Counter(executor.sandbox.level for executor in attached)
    if levels:
        counted = ", ".join(f"{level} on {count}" for level, count in sorted(levels.items()))
        print(f"\nsandbox: {counted} executor{'s' if len(attached) != 1 else ''}")
    for executor in attached:
        if executor.sandbox.missing:
            missing = "; ".join(executor.sandbox.missing)
            output.say(f"warning: {executor.id} contains functions in part or not at all: {missing}")


def _tenants(tenants: list[TenantView]) -> None:
    """What each has of what it may have. One that nothing limits is not worth a table."""
    if all(limit is None for tenant in tenants for limit in vars(tenant.limits).values()) and len(tenants) < 2:
        return
    rows = []
    for t in tenants:
        most = t.limits
        rate = "" if most.rows_per_second is None else str(most.rows_per_second)
        rows.append([t.tenant, _of(t.functions, most.functions), _of(t.environments, most.environments),
                     _of(t.artifact_bytes, most.artifact_bytes, output.size), _of(t.streams, most.streams), rate,
                     t.refused])  # fmt: skip
    print()
    table(["TENANT", "FUNCTIONS", "ENVIRONMENTS", "FILES", "STREAMS", "ROWS/S AT MOST", "REFUSED"], rows)


def _of(number: int, most: int | None, shown: Callable[[int], str] = str) -> str:
    return shown(number) if most is None else f"{shown(number)}/{shown(most)}"


def _certificates(ends: dict[str, datetime.datetime | None]) -> None:
    """When TLS certificates end, with a warning for those that soon do."""
    known = {owner: end for owner, end in ends.items() if end is not None}
    if not known:
        return
    now = datetime.datetime.now(datetime.timezone.utc)
    first = min(known.values())
    print(f"\nTLS: the first certificate ends on {first:%Y-%m-%d}, in {(first - now).days} days")
    for owner, end in known.items():
        if end - now < _CERTIFICATE_WARNING:
            state = "has expired" if end <= now else f"ends on {end:%Y-%m-%d %H:%M} UTC"
            output.say(f"warning: the TLS certificate of {owner} {state}: replace its files, no restart is needed")


def _devices(executors: list[ExecutorView], functions: list[FunctionView]) -> None:
    """Who holds what."""
    users: dict[str, list[str]] = {}
    for function in functions:
        users.setdefault(function.environment, []).append(function.reference)
    rows = []
    for executor in executors:
        held = {(device.kind, device.device): device.environment for device in executor.devices}
        for kind, devices in executor.resources.items():
            for device in devices:
                environment = held.get((kind, device))
                holder = "" if environment is None else ", ".join(users.get(environment, [environment]))
                rows.append([executor.id, kind, device, holder])
    if rows:
        print()
        table(["EXECUTOR", "DEVICE", "ID", "HELD FOR"], rows)


def _minor_versions(pythons: list[str]) -> str:
    """What tells Pythons apart for people: 3.11 for all of 3.11.2 and 3.11.15."""
    return ", ".join(dict.fromkeys(".".join(python.split(".")[:2]) for python in pythons))


def _functions(functions: list[FunctionView]) -> None:
    rows = []
    for function in functions:
        ready = sum(entry.state == "READY" for entry in function.executors)
        served = f"{ready}/{len(function.executors)}"
        rows.append([function.reference, function.state.lower(), function.signature, _kind(function),
                     function.func_type, served, function.environment])  # fmt: skip
    table(["FUNCTION", "STATE", "SIGNATURE", "KIND", "TYPE", "READY ON", "ENV"], rows)


def _kind(function: FunctionView) -> str:
    kind = function.kind.replace("_", " ")
    return f"async {kind}" if function.asynchronous else kind


def _reasons(functions: list[FunctionView]) -> None:
    for function in functions:
        if function.state != "READY" and function.reason:
            output.say(f"{function.reference} is {function.state.lower()}: {function.reason}")
        for entry in function.executors:
            if entry.error is not None:
                output.say(f"{function.reference} failed on {entry.executor}: {entry.error}")
            if entry.waiting:
                output.say(f"{function.reference} on {entry.executor}: {entry.waiting}")


@click.command()
@click.option("--all-versions", is_flag=True, help="Not only the newest.")
@json_option
@click.pass_context
def functions(ctx: click.Context, all_versions: bool, as_json: bool) -> None:
    """The registered functions."""
    with connected(ctx) as fleet:
        found = fleet.functions(all_versions)
    if as_json:
        output.print_json(found)
    else:
        _functions(found)


@click.command(short_help="Take an executor out of service.")
@executor_name("executor")
@click.option("--undo", is_flag=True, help="Take it back into service.")
@click.pass_context
def drain(ctx: click.Context, executor: str, undo: bool) -> None:
    """Take EXECUTOR out of service once what runs there has finished."""
    with connected(ctx) as fleet:
        view = fleet.drain(executor, undo)
    output.say(f"{view.id} is {view.state}")


@click.command()
@function_name("name", required=False)
@json_option
@click.pass_context
def progress(ctx: click.Context, name: str, as_json: bool) -> None:
    """Numbers of function NAME, or of all."""
    with connected(ctx) as fleet:
        views = [fleet.progress(name)] if name else fleet.progress()
    if as_json:
        output.print_json(views)
        return
    rows = []
    for view in views:
        t = view.total
        rows.append([t.function, t.calls, t.rows, t.errors, t.row_errors, t.retries, t.in_flight, f"{view.p50_ms:.2f}",
                     f"{view.p95_ms:.2f}", f"{view.p99_ms:.2f}", f"{t.queue_seconds:.2f}", f"{t.transfer_seconds:.2f}",
                     f"{t.convert_seconds:.2f}", f"{t.run_seconds:.2f}", output.size(t.peak_memory_bytes)])  # fmt: skip
    header = ["FUNCTION", "CALLS", "ROWS", "ERRORS", "ROW ERRORS", "RETRIES", "IN FLIGHT", "P50 MS", "P95 MS", "P99 MS",
              "QUEUE S", "TRANSFER S", "CONVERT S", "RUN S", "PEAK MEMORY"]  # fmt: skip
    table(header, rows)
    _user_metrics(views)


def _user_metrics(views: list[ProgressView]) -> None:
    rows = []
    for view in views:
        for metric in view.total.metrics:
            numbers = [metric.value, metric.sum, metric.min, metric.max, metric.p50, metric.p95, metric.p99]
            if metric.kind not in ("histogram", "distribution"):
                numbers[1] = None
            count = "" if metric.kind == "gauge" else metric.count
            shown = ["" if number is None else f"{number:.6g}" for number in numbers]
            rows.append([view.function, metric.name, metric.kind, count, *shown])
    if rows:
        print()
        header = ["FUNCTION", "METRIC", "KIND", "COUNT", "VALUE", "SUM", "MIN", "MAX", "P50", "P95", "P99"]
        table(header, rows)
