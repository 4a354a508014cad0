"""A server of the S3 protocol on a host of its own, which keeps artifacts in a bucket."""

from __future__ import annotations

import subprocess
import urllib.error
import urllib.request
from pathlib import Path

import seaweed
from cluster_network import Host
from cluster_programs import Program, eventually

_PORTS = {"master": 9333, "volume": 8080, "filer": 8888, "s3": 8333, "debug": 6060}


class BucketServer:
    """Its `program` is killed, paused and started again by itself; what it holds stays."""

    def __init__(self, host: Host, folder: Path) -> None:
        self._host = host
        self._folder = folder / "bucket"
        self._folder.mkdir()
        self.program = Program(host.name, host, seaweed.server(host.address, self._folder, _PORTS), folder)
        self.endpoint = f"http://{host.address}:{_PORTS['s3']}"

    @property
    def options(self) -> list[str]:
        """What coordinators are told."""
        place = [f"--artifact-store=s3://{seaweed.BUCKET}/cluster", f"--artifact-store-endpoint={self.endpoint}"]
        return [*place, "--artifact-store-allow-http"]

    @property
    def environment(self) -> dict[str, str]:
        """The same, of credentials."""
        return {"AWS_ACCESS_KEY_ID": seaweed.KEY, "AWS_SECRET_ACCESS_KEY": seaweed.SECRET}

    def start(self) -> None:
        """Returns when it has its bucket."""
        self.program.start()
        eventually("the S3 server answers", self.healthy)
        eventually("it has its bucket", self._made)

    def healthy(self) -> bool:
        """Whether it answers."""
        try:
            urllib.request.urlopen(self.endpoint, timeout=2).close()
        except urllib.error.HTTPError:
            return True  # It refuses who has no credentials.
        except OSError:
            return False
        return True

    def _made(self) -> bool:
        command = self._host.command(*seaweed.shell(self._host.address, _PORTS))
        done = subprocess.run(
            command, input=seaweed.MAKE_BUCKET, text=True, capture_output=True, timeout=60, cwd=self._folder
        )
        return done.returncode == 0 and "error" not in done.stdout + done.stderr
