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
        limits = ("--cpus", str(VCPUS), "--memory", str(MEMORY_BYTES), "--pids-limit", str(PIDS))
        self._options = (*limits, "-v", f"{bell.folder}:{INSIDE}")

    async def load(self, image: Path) -> None:
        """Bring the image into the Engine."""
        await self.call("load", "-q", "-i", str(image))

    async def run(self, count: int) -> float:
        heard = asyncio.ensure_future(self._bell.rung(count))
        await asyncio.sleep(0)
        begun = time.perf_counter()
        await asyncio.gather(*(self.call("network", "create", name) for name in _NETWORKS))
        await self.call("create", "--name", NAME, "--network", _NETWORKS[0], *self._options, IMAGE)
        await self.call("network", "connect", _NETWORKS[1], NAME)
        await self.call("start", NAME)
        ended = time.perf_counter()
        return max(ended, await heard) - begun

    async def run_one(self, count: int) -> float:
        """The same with one network, for which `docker run` alone does it."""
        heard = asyncio.ensure_future(self._bell.rung(count))
        await asyncio.sleep(0)
        begun = time.perf_counter()
        await self.call("network", "create", _NETWORKS[0])
        await self.call("run", "--detach", "--name", NAME, "--network", _NETWORKS[0], *self._options, IMAGE)
        ended = time.perf_counter()
        return max(ended, await heard) - begun

    async def clear(self) -> None:
        await self.call("rm", "-f", NAME)
        await self.call("network", "rm", *_NETWORKS)

    async def call(self, *words: str) -> None:
        """Run the client; `RuntimeError` with its complaint."""
        process = await asyncio.create_subprocess_exec(
            *self._docker, *words, stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.PIPE
        )
        _, complaint = await process.communicate()
        if process.returncode:
            raise RuntimeError(f"docker {words[0]}: {complaint.decode(errors='replace')}")


class Run:
    """Fits `Side`, for one instance at a time: `docker network create` and `docker run --detach`, by Docker's own client."""

    def __init__(self, client: Client) -> None:
        self._client = client

    async def run(self, count: int) -> float:
        return await self._client.run_one(count)

    async def clear(self) -> None:
        await self._client.call("rm", "-f", NAME)
        await self._client.call("network", "rm", _NETWORKS[0])


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
