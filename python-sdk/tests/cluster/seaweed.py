"""SeaweedFS, a server of the S3 protocol that PyPI has: how it is started, and how its bucket is made."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
PROGRAMS = ROOT / "target" / "services" / "bin"
"""What `make target/services/.installed` brings."""
WEED = PROGRAMS / "weed"
KEY, SECRET = "udfleet-key", "udfleet-secret"
BUCKET = "udfleet"


def missing() -> str:
    """Why it can't be started here; empty where it can."""
    return "" if WEED.exists() else f"{WEED} is not there: make target/services/.installed"


def server(address: str, folder: Path, ports: Mapping[str, int]) -> list[str]:
    """The command that serves S3 at an address. `ports` has one for master, volume, filer, s3 and debug each."""
    # No administrator: for one the server makes whatever bucket is named.
    actions = [f"{action}:{BUCKET}" for action in ("Read", "Write", "List")]
    identity = {"name": "udfleet", "credentials": [{"accessKey": KEY, "secretKey": SECRET}], "actions": actions}
    config = folder / "s3.json"
    config.write_text(json.dumps({"identities": [identity]}))
    command = [str(WEED), "server", f"-ip={address}", f"-dir={folder}", "-s3", f"-s3.config={config}"]
    command += ["-master.volumeSizeLimitMB=64", "-volume.max=50", "-master.telemetry=false"]
    # Further services would take fixed ports.
    command += ["-s3.port.iceberg=0", "-s3.port.lance=0"]
    return [*command, *(f"-{name}.port={port}" for name, port in ports.items())]


def shell(address: str, ports: Mapping[str, int]) -> list[str]:
    """The command that takes `MAKE_BUCKET` as its input; it fails as long as the server is not up."""
    return [str(WEED), "shell", f"-master={address}:{ports['master']}", f"-filer={address}:{ports['filer']}"]


MAKE_BUCKET = f"s3.bucket.create -name {BUCKET}\n"
