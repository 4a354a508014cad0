"""deploy/monitoring: the rules as Prometheus reads them, on numbers made up for them and on those of a real fleet."""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fleet_support import BIGINT, eventually
from service_programs import PROGRAMS, ROOT, Nodes

import udfleet
from udfleet import udf

FOLDER = ROOT / "deploy" / "monitoring"
DASHBOARD = json.loads((FOLDER / "grafana/dashboards/udfleet.json").read_text())

needs_prometheus = pytest.mark.skipif(
    shutil.which("prometheus") is None, reason="Prometheus is not installed (Debian: prometheus)"
)


def parsed(path: Path) -> Any:
    """A YAML file."""
    read = "import json, sys, yaml; print(json.dumps(yaml.safe_load(sys.stdin)))"
    done = subprocess.run([PROGRAMS / "python", "-c", read], check=True, capture_output=True, input=path.read_bytes())
    return json.loads(done.stdout)


def promtool(*arguments: str, stdin: str | None = None) -> None:
    done = subprocess.run(["promtool", *arguments], input=stdin, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr


@needs_prometheus
def test_prometheus_takes_configuration_and_rules():
    promtool("check", "config", str(FOLDER / "prometheus.yml"))


def series(name: str, values: str) -> dict[str, str]:
    return {"series": name, "values": values}


WELL = [
    series('up{job="coordinator",instance="c1"}', "1x30"),
    series('up{job="coordinator",instance="c2"}', "1x30"),
    series('up{job="etcd",instance="m1"}', "1x30"),
    # Each coordinator tells of itself whether it leads.
    series('udfleet_leader_term{instance="c1"}', "3x30"),
    series('udfleet_leader_term{instance="c2"}', "0x30"),
    series('udfleet_executors{state="ready",instance="c1"}', "3x30"),
    series('udfleet_executors{state="lost",instance="c1"}', "0x30"),
    series('udfleet_function_calls_total{function="f@1",instance="c1"}', "0+100x30"),
    series('udfleet_function_errors_total{function="f@1",instance="c1"}', "0+1x30"),
    series('udfleet_function_seconds_total{function="f@1",part="queue",instance="c1"}', "0+100x30"),
    series('udfleet_function_seconds_total{function="f@1",part="run",instance="c1"}', "0+1000x30"),
]
FAULTS = {
    "UdfleetCoordinatorAway": ('up{job="coordinator",instance="c2"}', "0x30"),
    "UdfleetNoCoordinator": ('up{job="coordinator",instance="c1"}', "0x30"),
    "UdfleetNoLeader": ('udfleet_leader_term{instance="c1"}', "0x30"),
    "UdfleetExecutorLost": ('udfleet_executors{state="lost",instance="c1"}', "1x30"),
    "UdfleetNoExecutor": ('udfleet_executors{state="ready",instance="c1"}', "0x30"),
    "UdfleetErrors": ('udfleet_function_errors_total{function="f@1",instance="c1"}', "0+10x30"),
    "UdfleetQueue": (
        'udfleet_function_seconds_total{function="f@1",part="queue",instance="c1"}',
        "0+5000x30",
    ),
    "UdfleetEtcdMemberAway": ('up{job="etcd",instance="m1"}', "0x30"),
}


@needs_prometheus
def test_each_alert_fires_for_its_fault_and_none_without(tmp_path: Path):
    rules = parsed(FOLDER / "alerts.yml")["groups"][0]["rules"]
    assert {rule["alert"] for rule in rules} == set(FAULTS)

    def test(numbers: list[dict[str, str]], fires: str | None) -> dict[str, Any]:
        # Prometheus wants each alert that fires with all its labels: the expression itself is what is asked.
        expressions = [(rule["alert"], f"count({rule['expr']}) > bool 0 or vector(0)") for rule in rules]
        wanted = [
            {"expr": expression, "eval_time": "25m", "exp_samples": [{"value": int(alert == fires)}]}
            for alert, expression in expressions
            if fires is None or alert == fires
        ]
        return {"interval": "1m", "input_series": numbers, "promql_expr_test": wanted}

    tests = [test(WELL, None)]
    for alert, (name, values) in FAULTS.items():
        faulty = {name} | ({FAULTS["UdfleetCoordinatorAway"][0]} if alert == "UdfleetNoCoordinator" else set())
        tests.append(test([series(s["series"], values) if s["series"] in faulty else s for s in WELL], alert))
    file = tmp_path / "tests.yml"
    file.write_text(json.dumps({"rule_files": [str(FOLDER / "alerts.yml")], "tests": tests}))
    promtool("test", "rules", str(file))


def test_what_containers_mount_is_there_and_grafana_finds_it():
    services = parsed(ROOT / "deploy" / "docker-compose.yml")["services"]
    mounted = {}
    for name in ("prometheus", "grafana"):
        assert services[name]["profiles"] == ["monitoring"]
        for volume in services[name]["volumes"]:
            source, target = volume.split(":")[:2]
            mounted[target] = source
            assert not source.startswith("./") or (ROOT / "deploy" / source).exists(), source
    files = [file for file in FOLDER.rglob("*") if file.is_file()]
    sources = [ROOT / "deploy" / source for source in mounted.values()]
    assert len(files) > 4 and all(any(file.is_relative_to(source) for source in sources) for file in files)
    # Grafana reads what lies under /etc/grafana/provisioning.
    (provider,) = parsed(FOLDER / "grafana/provisioning/dashboards/udfleet.yml")["providers"]
    assert mounted[provider["options"]["path"]] == "./monitoring/grafana/dashboards"
    (source,) = parsed(FOLDER / "grafana/provisioning/datasources/prometheus.yml")["datasources"]
    assert {panel["datasource"]["uid"] for panel in DASHBOARD["panels"]} == {source["uid"]}
    assert urllib.parse.urlsplit(source["url"]).hostname in services
    targets = [
        target.rpartition(":")[0]
        for job in parsed(FOLDER / "prometheus.yml")["scrape_configs"]
        for static in job["static_configs"]
        for target in static["targets"]
    ]
    assert set(targets) == {name for name in services if name.split("-")[0] in ("coordinator", "executor", "etcd")}


@pytest.fixture
def prometheus(nodes: Nodes, tmp_path: Path) -> Iterator[tuple[str, str]]:
    """The address of a coordinator, and of a Prometheus that reads the fleet's metrics as deploy/monitoring says."""
    address = nodes.coordinator("c")
    nodes.executor("e", address)
    pages = [nodes.ready[name]["http"] for name in ("c", "e")]
    config = parsed(FOLDER / "prometheus.yml")
    shutil.copy(FOLDER / "alerts.yml", tmp_path)
    config["global"] = {"scrape_interval": "250ms", "evaluation_interval": "250ms"}
    for job, page in zip(config["scrape_configs"], pages, strict=False):
        job["static_configs"] = [{"targets": [page]}]
    config["scrape_configs"] = config["scrape_configs"][: len(pages)]
    (tmp_path / "prometheus.yml").write_text(json.dumps(config))
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        own = f"127.0.0.1:{free.getsockname()[1]}"
    command = ["prometheus", f"--config.file={tmp_path / 'prometheus.yml'}", f"--storage.tsdb.path={tmp_path / 'tsdb'}"]
    with (tmp_path / "prometheus.log").open("wb") as log:
        process = subprocess.Popen([*command, f"--web.listen-address={own}"], stdout=log, stderr=log)
    try:
        yield address, own
    finally:
        process.kill()
        process.wait()


def ask(prometheus: str, path: str, **parameters: str) -> Any:
    """What the API of Prometheus answers; nothing while it is not up."""
    query = urllib.parse.urlencode(parameters)
    try:
        with urllib.request.urlopen(f"http://{prometheus}/api/v1/{path}?{query}", timeout=10) as answer:
            return json.load(answer)["data"]
    except urllib.error.HTTPError:
        raise
    except OSError:
        return None


@needs_prometheus
def test_the_dashboard_shows_a_real_fleet(prometheus: tuple[str, str], nodes: Nodes):
    address, own = prometheus
    with udfleet.connect(address) as fleet:
        fleet.register_function("plus", udf(lambda a: a + 1, BIGINT, BIGINT))
        expressions = [target["expr"] for panel in DASHBOARD["panels"] for target in panel["targets"]]

        def shown() -> bool:
            fleet.call("plus", [1])
            results = {expression: ask(own, "query", query=expression) for expression in expressions}
            return all(result and result["result"] for result in results.values())

        eventually("each panel has something to show", shown)
    for name in ("c", "e"):
        # Names, units and kinds as Prometheus wants them.
        with urllib.request.urlopen(f"http://{nodes.ready[name]['http']}/metrics", timeout=10) as page:
            promtool("check", "metrics", stdin=page.read().decode())
    rules = ask(own, "rules")["groups"][0]["rules"]
    assert len(rules) == len(FAULTS) and {rule["health"] for rule in rules} == {"ok"}
    assert [rule["name"] for rule in rules if rule["state"] == "firing"] == []
