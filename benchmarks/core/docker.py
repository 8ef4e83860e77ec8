"""By hand: the same image with two networks on a Docker Engine, by Docker's own client and by the Engine's API."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import Any

import httpx

from benchmarks.core.payload import INSIDE, MEMORY_BYTES, PIDS, VCPUS, Bell

IMAGE = "skerry-benchmarks:1"
NAME = "skbench"
_NETWORKS = (f"{NAME}-1", f"{NAME}-2")


class Client:
    """Fits `Side`, for one instance at a time: `docker network create` twice, `create`, `network connect`, `start`."""

    def __init__(self, endpoint: str, bell: Bell) -> None:
        self._docker = ("docker", "-H", endpoint)
        self._bell = bell

    async def load(self, image: Path) -> None:
        """Bring the image into the Engine."""
        await self._call("load", "-q", "-i", str(image))

    async def run(self, count: int) -> float:
        heard = asyncio.ensure_future(self._bell.rung(count))
        await asyncio.sleep(0)
        limits = ("--cpus", str(VCPUS), "--memory", str(MEMORY_BYTES), "--pids-limit", str(PIDS))
        begun = time.perf_counter()
        await asyncio.gather(*(self._call("network", "create", name) for name in _NETWORKS))
        mount = f"{self._bell.folder}:{INSIDE}"
        await self._call("create", "--name", NAME, "--network", _NETWORKS[0], *limits, "-v", mount, IMAGE)
        await self._call("network", "connect", _NETWORKS[1], NAME)
        await self._call("start", NAME)
        ended = time.perf_counter()
        return max(ended, await heard) - begun

    async def clear(self) -> None:
        await self._call("rm", "-f", NAME)
        await self._call("network", "rm", *_NETWORKS)

    async def _call(self, *words: str) -> None:
        process = await asyncio.create_subprocess_exec(
            *self._docker, *words, stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.PIPE
        )
        _, complaint = await process.communicate()
        if process.returncode:
            raise RuntimeError(f"docker {words[0]}: {complaint.decode(errors='replace')}")


class Api:
    """Fits `Side`, for one instance at a time: the same five calls on the Engine's socket, without a client's start."""

    def __init__(self, endpoint: str, bell: Bell) -> None:
        transport = httpx.AsyncHTTPTransport(uds=endpoint.removeprefix("unix://"))
        self._client = httpx.AsyncClient(transport=transport, base_url="http://docker", timeout=60)
        self._bell = bell

    async def run(self, count: int) -> float:
        heard = asyncio.ensure_future(self._bell.rung(count))
        await asyncio.sleep(0)
        begun = time.perf_counter()
        await asyncio.gather(*(self._post("/networks/create", {"Name": name}) for name in _NETWORKS))
        limits = {"NanoCpus": VCPUS * 10**9, "Memory": MEMORY_BYTES, "PidsLimit": PIDS}
        binds = {"Binds": [f"{self._bell.folder}:{INSIDE}"], "NetworkMode": _NETWORKS[0]}
        await self._post(f"/containers/create?name={NAME}", {"Image": IMAGE, "HostConfig": {**limits, **binds}})
        await self._post(f"/networks/{_NETWORKS[1]}/connect", {"Container": NAME})
        await self._post(f"/containers/{NAME}/start", None)
        ended = time.perf_counter()
        return max(ended, await heard) - begun

    async def clear(self) -> None:
        await self._client.delete(f"/containers/{NAME}?force=true")
        for name in _NETWORKS:
            await self._client.delete(f"/networks/{name}")

    async def close(self) -> None:
        """Let go of the socket."""
        await self._client.aclose()

    async def _post(self, path: str, body: Any) -> None:
        answer = await self._client.post(path, json=body)
        answer.raise_for_status()
