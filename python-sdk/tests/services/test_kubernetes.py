"""The manifests: rendered as users render them, held to Kubernetes' own schemas and to what makes a pod safe."""

from __future__ import annotations

import json
import os
import re
import subprocess
import tempfile
from pathlib import Path
from typing import Any

import pytest
from service_programs import PROGRAMS, ROOT

from udfleet._local import binaries

FOLDER = ROOT / "deploy" / "kubernetes"
OVERLAYS = ("base", "three", "tls")
WORKLOADS = ("Deployment", "StatefulSet")


def rendered(overlay: str) -> str:
    if overlay != "tls":
        return kustomized(FOLDER / overlay)
    # A component stands on a kustomization of its user's own.
    with tempfile.TemporaryDirectory() as folder:
        base, component = (os.path.relpath(FOLDER / name, os.path.realpath(folder)) for name in ("base", "tls"))
        lines = ["apiVersion: kustomize.config.k8s.io/v1beta1", "kind: Kustomization"]
        lines += [f"resources: [{base}]", f"components: [{component}]"]
        (Path(folder) / "kustomization.yaml").write_text("\n".join(lines))
        return kustomized(Path(folder))


def kustomized(folder: Path) -> str:
    command = [PROGRAMS / "kubectl", "kustomize", folder]
    return subprocess.run(command, check=True, capture_output=True, text=True, timeout=120).stdout


def parsed(text: str) -> list[dict[str, Any]]:
    read = "import json, sys, yaml; print(json.dumps(list(yaml.safe_load_all(sys.stdin))))"
    command = [PROGRAMS / "python", "-c", read]
    done = subprocess.run(command, check=True, capture_output=True, text=True, timeout=120, input=text)
    documents: list[dict[str, Any]] = json.loads(done.stdout)
    return documents


@pytest.fixture(scope="module", params=OVERLAYS)
def overlay(request: pytest.FixtureRequest) -> tuple[str, list[dict[str, Any]]]:
    return request.param, parsed(rendered(request.param))


def workloads(documents: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    return {one["metadata"]["name"]: one["spec"] for one in documents if one["kind"] in WORKLOADS}


@pytest.mark.parametrize("version", ["1.31", "1.37"])
@pytest.mark.parametrize("name", OVERLAYS)
def test_the_schemas_of_kubernetes_hold(name, version, tmp_path):
    file = tmp_path / "rendered.yaml"
    file.write_text(rendered(name))
    command = [PROGRAMS / "kubernetes-validate", "--strict", "--kubernetes-version", version, file]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    file.write_text(rendered(name).replace("containerPort:", "containerPrt:"))
    assert subprocess.run(command, capture_output=True, timeout=300).returncode != 0, "it does look"


def test_pods_have_what_they_need_and_no_more(overlay):
    for spec in workloads(overlay[1]).values():
        pod = spec["template"]["spec"]
        assert pod["securityContext"]["runAsNonRoot"] and not pod["automountServiceAccountToken"]
        assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        assert not pod["enableServiceLinks"], "variables of services look like settings"
        (container,) = pod["containers"]
        context = container["securityContext"]
        assert context["readOnlyRootFilesystem"] and not context["allowPrivilegeEscalation"]
        assert context["capabilities"] == {"drop": ["ALL"]}
        assert container["resources"]["limits"]["memory"] and container["lifecycle"]["preStop"]
        assert {"livenessProbe", "readinessProbe", "startupProbe"} <= container.keys()
        mounts = {mount["name"]: mount["mountPath"] for mount in container["volumeMounts"]}
        volumes = [volume["name"] for volume in pod["volumes"]]
        volumes += [template["metadata"]["name"] for template in spec.get("volumeClaimTemplates", [])]
        assert sorted(mounts) == sorted(volumes), "each volume once"
        ports = {port["name"] for port in container["ports"]}
        probes = [container[key]["httpGet"]["port"] for key in ("livenessProbe", "readinessProbe", "startupProbe")]
        assert set(probes) <= ports


def test_selectors_find_their_pods(overlay):
    documents = overlay[1]
    pods = [spec["template"]["metadata"]["labels"] for spec in workloads(documents).values()]
    selectors = [one["spec"]["selector"] for one in documents if one["kind"] == "Service"]
    selectors += [one["spec"]["selector"]["matchLabels"] for one in documents if one["kind"] == "PodDisruptionBudget"]
    selectors += [one["spec"]["podSelector"]["matchLabels"] for one in documents if one["kind"] == "NetworkPolicy"]
    assert len(selectors) == 6
    for selector in selectors:
        assert sum(selector.items() <= labels.items() for labels in pods) == 1, selector
    claims = {one["metadata"]["name"] for one in documents if one["kind"] == "PersistentVolumeClaim"}
    assert claims == (set() if overlay[0] == "three" else {"udfleet-coordinator"})


def test_three_share_their_stores(overlay):
    replicas = {name: spec["replicas"] for name, spec in workloads(overlay[1]).items()}
    if overlay[0] != "three":
        assert replicas["udfleet-coordinator"] == 1, "its volume is its own"
        return
    assert replicas == {"udfleet-coordinator": 3, "udfleet-executor": 3}
    (stores,) = (one["data"] for one in overlay[1] if one["kind"] == "ConfigMap")
    assert stores["UDFLEET_ARTIFACT_STORE"].startswith("s3://")
    coordinator = workloads(overlay[1])["udfleet-coordinator"]["template"]["spec"]
    assert [volume for volume in coordinator["volumes"] if "persistentVolumeClaim" in volume] == []


def test_the_programs_take_the_settings(overlay, tmp_path: Path):
    """Each variable is one that the program knows, and together they are settings that it starts with."""
    documents = overlay[1]
    shared = {key: value for one in documents if one["kind"] == "ConfigMap" for key, value in one["data"].items()}
    for name, spec in workloads(documents).items():
        (container,) = spec["template"]["spec"]["containers"]
        variables = dict(shared) if "envFrom" in container else {}
        for variable in container["env"]:
            value = variable.get("value", "10.0.0.7" if variable["name"] == "POD_IP" else name)
            variables[variable["name"]] = value.replace("$(POD_IP)", "10.0.0.7")
        token = tmp_path / "token"
        token.write_text("sesame")
        variables["UDFLEET_TOKEN_FILE"] = str(token)
        program = binaries.find_program(container["command"][0])
        done = subprocess.run([program, "--dump-config"], env=variables, capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, done.stderr
        assert 'advertise = "10.0.0.7"' in done.stdout and "<redacted>" in done.stdout
        told = subprocess.run([program, "--help"], capture_output=True, text=True, timeout=60).stdout
        for variable in variables:
            assert not variable.startswith("UDFLEET_") or f"[env: {variable}=" in told, variable


def test_with_certificates_every_probe_and_process_speaks_tls():
    documents = parsed(rendered("tls"))
    for name, spec in workloads(documents).items():
        (container,) = spec["template"]["spec"]["containers"]
        schemes = {container[key]["httpGet"]["scheme"] for key in ("livenessProbe", "readinessProbe", "startupProbe")}
        assert schemes == {"HTTPS"}, name
        names = [variable["name"] for variable in container["env"]]
        values = {variable["name"]: variable.get("value", "") for variable in container["env"]}
        assert values["UDFLEET_INSECURE_NON_LOOPBACK"] == "false" and len(names) == len(values)
        for variable in ("UDFLEET_TLS_CERT", "UDFLEET_TLS_KEY"):
            # Kubernetes expands only what stands above.
            referred = re.findall(r"\$\((\w+)\)", values[variable])
            assert all(names.index(one) < names.index(variable) for one in referred)
