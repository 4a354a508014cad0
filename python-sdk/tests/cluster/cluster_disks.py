"""Disks that get full, and one that gets slow. Mounts are seen by this process and its children alone, and end with them."""

from __future__ import annotations

import ctypes
import os
import subprocess
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

_CLONE_NEWNS = 0x00020000
_LIBC = ctypes.CDLL(None, use_errno=True)
_THROTTLES = Path("/sys/fs/cgroup/blkio")


def hide_mounts() -> None:
    """From now on, what this thread and its children mount is theirs alone. There is no way back."""
    if _LIBC.unshare(_CLONE_NEWNS):
        raise OSError(ctypes.get_errno(), "no mounts of one's own")
    _run("mount", "--make-rprivate", "/")


class SmallDisk:
    """A disk of a few MiB, mounted at a folder."""

    def __init__(self, folder: Path, mebibytes: int) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        _run("mount", "-t", "tmpfs", "-o", f"size={mebibytes}m", "tmpfs", str(folder))
        self._filler = folder / "filler"
        self._folder = folder

    def fill(self) -> None:
        """Leaves no byte free."""
        with self._filler.open("wb", buffering=0) as filler:
            for size in (1 << 16, 1):
                try:
                    while filler.write(b"\0" * size):
                        pass
                except OSError:
                    continue

    def empty(self) -> None:
        """Makes room again."""
        self._filler.unlink(missing_ok=True)

    def close(self) -> None:
        _run("umount", "--lazy", str(self._folder))


def cannot_be_away() -> str:
    """Why no disk can go away here; empty where one can."""
    return "" if Path("/dev/fuse").exists() else "there is no /dev/fuse"


@contextmanager
def away(folder: Path) -> Iterator[None]:
    """A folder is a file system whose server has gone, while the context lasts: every access fails with ENOTCONN."""
    server = os.open("/dev/fuse", os.O_RDWR | os.O_CLOEXEC)
    options = f"fd={server},rootmode=40000,user_id=0,group_id=0".encode()
    failed = _LIBC.mount(b"away", os.fsencode(folder), b"fuse", 0, options)
    reason = os.strerror(ctypes.get_errno())
    os.close(server)
    if failed:
        raise OSError(f"mounting {folder}: {reason}")
    try:
        yield
    finally:
        _run("umount", "--lazy", str(folder))


class SlowableDisk:
    """A disk in a file, which takes few writes a second from chosen processes once that is asked for."""

    def __init__(self, folder: Path, mebibytes: int = 1024) -> None:
        folder.mkdir()
        image = folder.with_suffix(".img")
        with image.open("wb") as file:
            file.truncate(mebibytes << 20)
        _run("mkfs.ext4", "-q", str(image))
        # It is free again once it is no longer mounted.
        _run("mount", "-o", "loop", str(image), str(folder))
        self._folder = folder
        number = os.stat(folder).st_dev
        self._device = f"{os.major(number)}:{os.minor(number)}"

    @contextmanager
    def slow(self, pids: Iterable[int], writes_per_second: int) -> Iterator[None]:
        """Each of these processes' writes waits, while the context lasts."""
        group = _THROTTLES / f"udfleet-{os.getpid()}"
        group.mkdir()
        pids = list(pids)
        try:
            (group / "blkio.throttle.write_iops_device").write_text(f"{self._device} {writes_per_second}")
            for pid in pids:
                (group / "cgroup.procs").write_text(str(pid))
            yield
        finally:
            for pid in (group / "cgroup.procs").read_text().split():
                (_THROTTLES / "cgroup.procs").write_text(pid)
            group.rmdir()

    def close(self) -> None:
        _run("umount", "--lazy", str(self._folder))


def cannot_be_slow() -> str:
    """Why there is no slow disk here; empty where there is one."""
    if not (_THROTTLES / "cgroup.procs").exists():
        return f"{_THROTTLES} is not there, a controller of cgroups version 1"
    return "" if Path("/dev/loop-control").exists() else "there are no loop devices"


def _run(*command: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)}: {done.stderr.strip()}")
