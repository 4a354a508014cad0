"""deploy/: what its files name is there. `make test-compose` runs them."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path

ROOT = Path(__file__).parents[3]
DEPLOY = ROOT / "deploy"


def text(path: str) -> str:
    return (ROOT / path).read_text()


def test_dashboards_and_alerts_show_metrics_that_there_are():
    panels = json.loads(text("deploy/monitoring/grafana/dashboards/udfleet.json"))["panels"]
    shown = [target["expr"] for panel in panels for target in panel["targets"]] + [text("deploy/monitoring/alerts.yml")]
    named = {name for expression in shown for name in re.findall(r"\budfleet_\w+", expression)}
    documented = set(re.findall(r"`(udfleet_\w+)`", text("docs/metrics.md")))
    # A histogram is documented by its name, and shown by its buckets.
    documented |= {f"{name}_bucket" for name in documented}
    assert len(named) > 8 and named <= documented, named - documented


def test_containers_are_given_settings_that_there_are():
    compose = text("deploy/docker-compose.yml") + text("deploy/docker-compose.tls.yml")
    given = set(re.findall(r"(?<!\{)\b(UDFLEET_\w+): ", compose))
    documented = set(re.findall(r"`(UDFLEET_\w+)`", text("docs/configuration.md")))
    assert len(given) > 10 and given <= documented, given - documented
    ours = set(re.findall(r"\$\{(UDFLEET_\w+)", compose))
    assert not ours & documented, "what Compose is told is no setting of a process"


def test_images_have_all_programs_and_the_compiler_that_is_needed():
    sys.path.insert(0, str(DEPLOY))
    try:
        from cluster import images
    finally:
        sys.path.remove(str(DEPLOY))
    dockerfile = text("deploy/Dockerfile")
    assert all(program in dockerfile for program in images.PROGRAMS)
    needed = re.search(r'^rust-version = "(.*)"', text("Cargo.toml"), re.MULTILINE)[1]
    assert f"ARG RUST=rust:{needed}-" in dockerfile
    assert f"ARG BASE={images.BASE}\n" in dockerfile and f"ARG BASE={images.BASE}\n" in text("deploy/etcd.Dockerfile")
    assert images.OFFICIAL_ETCD in text("deploy/docker-compose.yml")


def test_the_engine_is_sent_all_that_the_build_needs():
    """Of what .dockerignore leaves out, nothing is a member of the workspace or copied by a Dockerfile."""
    lines = text(".dockerignore").splitlines()
    sent = {line.removeprefix("!") for line in lines if line.startswith("!")}

    def is_sent(path: str) -> bool:
        return any(path == one or path.startswith(f"{one}/") for one in sent)

    workspace = re.search(r"^members = \[(.*?)\]", text("Cargo.toml"), re.MULTILINE | re.DOTALL)[1]
    members = re.findall(r'"([^"]+)"', workspace)
    assert len(members) > 5 and all(is_sent(f"{member}/Cargo.toml") for member in members)
    copied = re.findall(r"^COPY (?!--from)(.*) \S+$", text("deploy/Dockerfile"), re.MULTILINE)
    named = {word.replace("[s]", "s").rstrip("/") for line in copied for word in line.split()} - {"."}
    assert named and all(is_sent(path) for path in named), named
