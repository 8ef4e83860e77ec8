"""A Docker Engine of our own: in a network namespace of its own, with its own folders, for tests and benchmarks.

    engine = Dockerd(folder)
    engine.start()                      # then DockerSettings(endpoint=engine.endpoint)
    engine.stop()

Two may run side by side as two hosts. The Engine of the machine, if any, is not touched.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import time
import uuid
from collections.abc import Sequence
from pathlib import Path

START_S = 30.0


class Dockerd:
    """`endpoint` is its unix socket, as `unix:///…`. `options` are flags of dockerd; with `linked` its namespace has the
    address `address`, which is reachable from here (for TCP endpoints)."""

    def __init__(self, folder: Path, *, options: Sequence[str] = (), linked: bool = False) -> None:
        self.folder = folder
        self.namespace = f"skd{uuid.uuid4().hex[:8]}"
        self.socket = Path("/run") / f"{self.namespace}.sock"
        self.endpoint = f"unix://{self.socket}"
        number = int(self.namespace[3:], 16) % 16000
        self.address = f"169.254.{192 + number // 254}.{1 + number % 254}" if linked else ""
        self.options = list(options)
        self._process: subprocess.Popen[bytes] | None = None

    @staticmethod
    def installed() -> bool:
        """Whether this machine can run one."""
        return bool(shutil.which("dockerd", path=os.environ["PATH"] + ":/usr/sbin")) and os.geteuid() == 0

    def start(self) -> None:
        """Start it and wait until it answers."""
        self.folder.mkdir(parents=True, exist_ok=True)
        _run("ip", "netns", "add", self.namespace)
        _run("ip", "-n", self.namespace, "link", "set", "lo", "up")
        if self.address:
            self._link()
        command = [
            *("nsenter", f"--net=/run/netns/{self.namespace}", "dockerd"),
            *("--data-root", str(self.folder / "data"), "--exec-root", f"/run/{self.namespace}"),
            *("--pidfile", str(self.folder / "pid"), "-H", self.endpoint),
            *("--bip", "192.168.241.1/24", "--userland-proxy=false", "--log-level", "warn"),
            *self.options,
        ]
        with (self.folder / "log").open("wb") as log:
            self._process = subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True)
        deadline = time.monotonic() + START_S
        while not self._answers():
            if self._process.poll() is not None or time.monotonic() > deadline:
                text = (self.folder / "log").read_text(errors="replace")[-2000:]
                self.stop()
                raise RuntimeError(f"dockerd did not come up: {text}")
            time.sleep(0.05)

    def _link(self) -> None:
        ours, theirs = f"{self.namespace}a", f"{self.namespace}b"
        _run("ip", "link", "add", ours, "type", "veth", "peer", "name", theirs, "netns", self.namespace)
        _run("ip", "link", "set", ours, "up")
        _run("ip", "-n", self.namespace, "addr", "add", f"{self.address}/32", "dev", theirs)
        _run("ip", "-n", self.namespace, "link", "set", theirs, "up")
        _run("ip", "route", "add", f"{self.address}/32", "dev", ours)
        _run("ip", "-n", self.namespace, "route", "add", "default", "dev", theirs)

    def docker(self, *words: str) -> str:
        """Ask it with Docker's own client; returns what that prints."""
        return _run("docker", "-H", self.endpoint, *words)

    def restart(self) -> None:
        """Stop it and start it again on the same folders, as an update of the Engine does."""
        self.stop(keep=True)
        self.start()

    def in_namespace(self, *words: str) -> str:
        """Run a command where its networks are."""
        return _run("nsenter", f"--net=/run/netns/{self.namespace}", *words)

    def stop(self, *, keep: bool = False) -> None:
        """End its containers and itself; with `keep` its data stay for the next start."""
        if not keep:
            with contextlib.suppress(subprocess.CalledProcessError):
                running = self.docker("ps", "-aq").split()
                if running:
                    self.docker("rm", "-f", "-v", *running)
        if self._process is not None:
            self._process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(20)
            if self._process.poll() is None:
                self._process.kill()
                self._process.wait(5)
            self._process = None
        subprocess.run(["ip", "link", "del", f"{self.namespace}a"], capture_output=True, check=False)
        subprocess.run(["ip", "netns", "del", self.namespace], capture_output=True, check=False)
        self.socket.unlink(missing_ok=True)
        if not keep:
            shutil.rmtree(self.folder / "data", ignore_errors=True)
            for mounted in Path(f"/run/{self.namespace}/netns").glob("*"):
                subprocess.run(["umount", "-l", str(mounted)], capture_output=True, check=False)
            shutil.rmtree(f"/run/{self.namespace}", ignore_errors=True)

    def _answers(self) -> bool:
        if not self.socket.exists():
            return False
        return (
            subprocess.run(["docker", "-H", self.endpoint, "version"], capture_output=True, check=False).returncode == 0
        )


def _run(*words: str) -> str:
    return subprocess.run(words, capture_output=True, text=True, check=True).stdout
