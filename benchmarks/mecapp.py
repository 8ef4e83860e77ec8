"""What it takes to run an edge application: from its instantiation over Mm1 to the service that it registered and serves, and
what that costs over its container made by hand.

The node is a process of its own, reached over HTTP as any caller would; the application is a shell script in a container that
fetches its token, confirms that it is ready and registers a service. The container for comparison only rings a bell.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import httpx

from benchmarks.calm import calm
from benchmarks.core import bare, payload
from benchmarks.figures import Figure, Scale, median, rounded
from skerry.packages import build

FIGURES: Mapping[str, Figure] = {
    "mecapp.ready_p50_s": Figure("an application instantiated over Mm1, to its registered service that answers", 1.0),
    "mecapp.local_ms": Figure(
        "an application with two NICs instantiated over Mm1, to COMPLETED and its program running"
    ),
    "mecapp.bare_ms": Figure("its bundle and networks by hand: ip, mount, conmon, runc"),
    "mecapp.overhead_ms": Figure("local less bare", 100),
    "mecapp.terminate_p50_s": Figure("the first application told of its end, confirming it, and gone"),
}
EXAMPLE = Path(__file__).parents[1] / "examples" / "mec" / "polite"
POLITE, RING = "5b0d6a3e-7f6e-4c53-9f4a-0d5f7c1a9e32", "5b0d6a3e-7f6e-4c53-9f4a-0d5f7c1a9e33"
LCM, PKG = "/app_lcm/v1", "/app_pkgm/v1"
CALM_S = 1.0
LIMIT_S = 60.0
Say = Callable[[str], None]


async def measure(scale: Scale, say: Say) -> dict[str, float]:
    """Every figure of `FIGURES`; none where this machine has no containers."""
    lacking = payload.lacking("runc", "conmon", "ip", "busybox")
    if lacking or os.geteuid() != 0 or scale.vim == "simulated":
        say(f"applications are not measured: it takes root and {', '.join(lacking) or 'containers'}")
        return {}
    folder = _folder()
    bell = payload.Bell(folder / "bell")
    node = Node(folder)
    try:
        await node.begin()
        await node.onboard(build(EXAMPLE, folder / "polite.csar"))
        await node.onboard(ring(folder, bell.folder))
        ready, ended = await lives(node, scale.rounds, say)
        sides = await compared(node, folder, bell, scale.rounds, say)
    finally:
        await node.end()
        bell.close()
        shutil.rmtree(folder, ignore_errors=True)
    ours, theirs = (median(sides[name]) * 1e3 for name in ("local", "bare"))
    values = {
        "mecapp.ready_p50_s": median(ready),
        "mecapp.local_ms": ours,
        "mecapp.bare_ms": theirs,
        "mecapp.overhead_ms": ours - theirs,
        "mecapp.terminate_p50_s": median(ended),
    }
    return rounded(values.items())


def _folder() -> Path:
    """A folder of this run alone, which instances can read."""
    folder = Path(tempfile.mkdtemp(prefix=f"skbench{os.getpid()}-"))
    folder.chmod(0o755)
    return folder


async def lives(node: Node, rounds: int, say: Say) -> tuple[list[float], list[float]]:
    """Seconds to ready and to gone, in each round; the first, in which the image is packed, does not count."""
    ready: list[float] = []
    ended: list[float] = []
    for number in turns(rounds):
        uri = await node.create(POLITE)
        await calm(CALM_S)
        begun = time.perf_counter()
        started = asyncio.ensure_future(node.does(uri, "instantiate", {}))
        await node.registered()
        took = time.perf_counter() - begun
        await started
        begun = time.perf_counter()
        await node.does(uri, "terminate", {"terminationType": "GRACEFUL"})
        left = time.perf_counter() - begun
        await node.delete(uri)
        if number:
            ready.append(took)
            ended.append(left)
            say(f"an application, round {number} of {rounds}: ready {took * 1e3:.0f} ms, gone {left * 1e3:.0f} ms")
    return ready, ended


def turns(rounds: int) -> range:
    """The rounds from 1 on, after one that does not count (0) where there are several."""
    return range(0 if rounds > 1 else 1, rounds + 1)


async def compared(node: Node, folder: Path, bell: payload.Bell, rounds: int, say: Say) -> dict[str, list[float]]:
    """Seconds of the application and of its container by hand, in turns."""
    ours = Application(node, bell)
    await ours.run()
    source, config = node.bundle()
    pattern = folder / "pattern"
    lower = bare.lower(source / "root")
    shutil.copytree(source / "files", pattern / "files")
    await ours.clear()
    theirs = bare.Bare(folder / "bare", pattern, source, config, lower, bell, supervised=True)
    await theirs.open()
    found: dict[str, list[float]] = {"local": [], "bare": []}
    try:
        for number in turns(rounds):
            await calm(CALM_S)
            mine = await ours.run()
            await ours.clear()
            await calm(CALM_S)
            his = await theirs.run(1)
            await theirs.clear()
            if number:
                found["local"].append(mine)
                found["bare"].append(his)
                say(f"its container, round {number} of {rounds}: local {mine * 1e3:.0f} ms, bare {his * 1e3:.0f} ms")
    finally:
        await theirs.close()
    return found


class Application:
    """The ringing application over Mm1."""

    def __init__(self, node: Node, bell: payload.Bell) -> None:
        self._node, self._bell = node, bell
        self._uri = ""

    async def run(self) -> float:
        """Seconds until it is COMPLETED and its program runs."""
        self._uri = await self._node.create(RING)
        heard = asyncio.ensure_future(self._bell.rung(1))
        await asyncio.sleep(0)
        begun = time.perf_counter()
        await self._node.does(self._uri, "instantiate", {})
        ended = time.perf_counter()
        return max(ended, await heard) - begun

    async def clear(self) -> None:
        await self._node.does(self._uri, "terminate", {"terminationType": "FORCEFUL"})
        await self._node.delete(self._uri)


def ring(folder: Path, bell: Path) -> Path:
    """The package of an application with two interfaces whose program rings the bell and sleeps."""
    image = {"id": "box", "name": "ring", "version": "1", "containerFormat": "DOCKER", "swImage": "Files/busybox.tar"}
    boot = {"CMD": list(payload.PROGRAM), "PIDS": payload.PIDS, "GRACE": "0 s", "VOLUMES": [f"{bell}:{payload.INSIDE}"]}
    unit = {
        "osContainerDescId": "unit",
        "name": "unit",
        "swImageDesc": image,
        "cpuResourceLimit": payload.VCPUS * 1000,
        "memoryResourceLimit": payload.MEMORY_BYTES / 1e6,
        "bootData": json.dumps({"vim_specific_properties": {"vim_type": "container", "properties": boot}}),
    }
    descriptor = {
        "appDId": RING,
        "appName": "ring",
        "appProvider": "Skerry",
        "appSoftVersion": "1",
        "appDVersion": "1.0",
        "mecVersion": ["3.1.1"],
        "appDescription": "rings",
        "swImageDescriptor": [image],
        "osContainerDescriptor": [unit],
        "appExtCpd": [{"cpdId": "one"}, {"cpdId": "two"}],
    }
    source = folder / "ring"
    (source / "Definitions").mkdir(parents=True)
    (source / "Files").mkdir()
    payload.image(source / "Files" / "busybox.tar")
    (source / "Definitions" / "ring.json").write_text(json.dumps(descriptor))
    return build(source, folder / "ring.csar")


class Node:
    """A node in a process of its own, with the embedded infrastructure, and a client of it."""

    def __init__(self, folder: Path) -> None:
        self._data = folder / "data"
        self._settings = folder / "skerry.toml"
        self._log = folder / "log"
        self._process: subprocess.Popen[str] | None = None
        self._client: httpx.AsyncClient | None = None

    @property
    def client(self) -> httpx.AsyncClient:
        """The connection."""
        assert self._client is not None
        return self._client

    async def begin(self) -> None:
        """Start it and wait until it is ready."""
        endpoint, token = await asyncio.to_thread(self._start)
        headers = {"Authorization": f"Bearer {token}"}
        self._client = httpx.AsyncClient(base_url=endpoint, headers=headers, timeout=LIMIT_S, trust_env=False)

    def _start(self) -> tuple[str, str]:
        """Its endpoint and the administrator's token."""
        self._settings.write_text(
            f'node = "bench{os.getpid() % 100000}"\nplain = true\nport = 0\nmec_dns = "builtin"\n'
            '[[vims]]\nid = "edge"\ntype = "local"\nsettings = { cpu_ratio = 1000.0 }\n'
        )
        command = [sys.executable, "-m", "skerry", "up", "--config", str(self._settings), "--data-dir", str(self._data)]
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=self._log.open("w"), text=True)
        assert self._process.stdout is not None
        endpoint = self._process.stdout.readline().strip()
        return endpoint, (self._data / "access" / "admin.token").read_text().strip()

    async def end(self) -> None:
        """Remove every application, then stop it."""
        if self._client is not None:
            with contextlib.suppress(httpx.HTTPError):
                for app in (await self.client.get("/skerry/v1/apps")).json():
                    await self.client.post(f"/skerry/v1/apps/{app['id']}/discard")
            await self._client.aclose()
        if self._process is not None:
            self._process.send_signal(signal.SIGTERM)
            await asyncio.to_thread(self._process.wait)

    async def onboard(self, archive: Path) -> None:
        """Onboard an application package."""
        made = await self.client.post(f"{PKG}/app_packages", json={"appPkgName": archive.stem, "appPkgVersion": "1"})
        uri = made.headers["Location"]
        headers = {"Content-Type": "application/zip"}
        content = await asyncio.to_thread(archive.read_bytes)
        put = await self.client.put(f"{uri}/package_content", content=content, headers=headers)
        put.raise_for_status()

    async def create(self, app_d_id: str) -> str:
        """The URI of a new instance."""
        made = await self.client.post(f"{LCM}/app_instances", json={"appDId": app_d_id})
        return str(made.raise_for_status().headers["Location"])

    async def delete(self, uri: str) -> None:
        """Delete a record."""
        (await self.client.delete(uri)).raise_for_status()

    async def does(self, uri: str, task: str, body: Any) -> None:
        """Do something with an instance and wait until it is COMPLETED."""
        begun = (await self.client.post(f"{uri}/{task}", json=body)).raise_for_status()
        id = begun.headers["Location"].rpartition("/")[2]
        view = (await self.client.get(f"/skerry/v1/operations/{id}?wait=60")).json()["operation"]
        if view["state"] != "COMPLETED":
            raise RuntimeError(f"{task} is {view['state']}: {view.get('error')}")

    async def registered(self) -> None:
        """Wait until a service is there."""
        end = time.monotonic() + LIMIT_S
        while not (await self.client.get("/mec_service_mgmt/v1/services")).json():
            if time.monotonic() > end:
                raise RuntimeError(f"no service was registered: {self._log.read_text()[-2000:]}")
            await asyncio.sleep(0.005)

    def bundle(self) -> tuple[Path, dict[str, Any]]:
        """Folder and OCI configuration of the one container that runs."""
        (file,) = (self._data / "vims" / "edge" / "compute").glob("*/config.json")
        return file.parent, json.loads(file.read_text())
