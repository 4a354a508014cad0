"""A real browser that shows the dashboard: Debian's Chromium, driven by `coordinator/dashboard/tests/driver.mjs`."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

DASHBOARD = Path(__file__).resolve().parents[3] / "coordinator" / "dashboard"


def missing() -> str:
    """Why there is no browser to test with; empty where there is one."""
    if not shutil.which("chromium"):
        return "Chromium is not installed"
    if not shutil.which("node") or not (DASHBOARD / "node_modules" / "playwright-core").is_dir():
        return "the dashboard's packages are not installed: make dashboard"
    if not (DASHBOARD / "dist" / "index.html").is_file():
        return "the coordinator was built without its dashboard: make dashboard"
    return ""


class Browser:
    """One tab. Each method is a command of the driver."""

    def __init__(self, origin: str) -> None:
        command = ["node", str(DASHBOARD / "tests" / "driver.mjs"), origin, shutil.which("chromium") or ""]
        self._driver = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert self._answer() == {"ready": True}

    def _answer(self) -> Any:
        assert self._driver.stdout is not None
        line = self._driver.stdout.readline()
        assert line, "the browser's driver has ended"
        return json.loads(line)

    def __getattr__(self, command: str) -> Any:
        def run(**arguments: Any) -> Any:
            assert self._driver.stdin is not None
            self._driver.stdin.write(json.dumps({"command": command, **arguments}) + "\n")
            self._driver.stdin.flush()
            answer = self._answer()
            assert "error" not in answer, f"{command} {arguments}: {answer['error']}"
            return answer["result"]

        return run

    def log_in(self, token: str) -> None:
        """Shows the token once; the overview follows."""
        self.open(path="/")
        self.wait(selector="label", text="Token")
        self.fill(selector="#token", text=token)
        self.click(selector="button[type=submit]")
        self.wait(selector="h1", text="Overview")

    def close(self) -> None:
        """Ends the browser with its driver."""
        assert self._driver.stdin is not None
        self._driver.stdin.close()
        try:
            self._driver.wait(20)
        except subprocess.TimeoutExpired:
            self._driver.kill()
            self._driver.wait()
        if self._driver.stdout is not None:
            self._driver.stdout.close()
