"""By hand: the bundle that Skerry made, run by the bare runtime in networks made with `ip`. One shell script an instance.

The bundles are prepared before the clock starts, as are the folders and the namespace that holds the bridges; Skerry makes all
of that while its clock runs.
"""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from benchmarks.core.payload import Bell
from skerry.linux import syscalls

TAG = f"skb{os.getpid():x}"  # interface names hold 15 characters; several runs may share a machine
_REMOVALS = 16  # at a time; not measured

_NETWORK = """\
ip netns add {space}
ip -n {edge} -batch - <<EOF
link add {one}b type bridge
link add {two}b type bridge
addr add 10.{number}.1.1/24 dev {one}b
addr add 10.{number}.2.1/24 dev {two}b
link set {one}b up
link set {two}b up
link add {one}v type veth peer name eth0 netns {space}
link add {two}v type veth peer name eth1 netns {space}
link set {one}v master {one}b up
link set {two}v master {two}b up
EOF
ip -n {space} -batch - <<EOF
link set lo up
addr add 10.{number}.1.2/24 dev eth0
addr add 10.{number}.2.2/24 dev eth1
link set eth0 up
link set eth1 up
route add default via 10.{number}.1.1
EOF
mount -t overlay overlay -o lowerdir={lower},upperdir={folder}/upper,workdir={folder}/work,volatile {folder}/root
"""
_RUNTIME = "runc --root {folder}/state"
_ALONE = f"{_RUNTIME} run --detach --bundle {{folder}} {{name}} </dev/null >/dev/null 2>&1\n"
_SUPERVISED = f"""\
_OCI_SYNCPIPE=3 conmon --api-version 1 -c {{name}} -u {{name}} -n {{name}} -r $(command -v runc) \\
  --runtime-arg --root={{folder}}/state -b {{folder}} -p {{folder}}/pid --exit-dir {{folder}}/exit \\
  -l k8s-file:{{folder}}/log --log-level error --socket-dir-path {{folder}} --full-attach \\
  3>{{folder}}/sync </dev/null >/dev/null 2>&1 &
read -r created <{{folder}}/sync
{_RUNTIME} start {{name}}
"""
_REMOVE = f"""\
{_RUNTIME} delete --force {{name}} >/dev/null 2>&1
umount {{folder}}/root
ip -n {{edge}} -batch - <<EOF
link del {{one}}v
link del {{two}}v
link del {{one}}b
link del {{two}}b
EOF
ip netns del {{space}}
"""


class Bare:
    """Fits `Side`. `supervised`: with conmon, which keeps log and exit code as Skerry does; else `runc run --detach` alone."""

    def __init__(
        self,
        folder: Path,
        pattern: Path,
        source: Path,
        config: Mapping[str, Any],
        lower: str,
        bell: Bell,
        *,
        supervised: bool,
    ) -> None:
        self._folder = folder
        self._pattern = pattern
        self._source = source
        self._config = config
        self._lower = lower
        self._bell = bell
        self._tag = f"{TAG}{'s' if supervised else 'a'}"
        self._edge = self._tag
        self._script = "set -e\n" + _NETWORK + (_SUPERVISED if supervised else _ALONE)
        self._made: list[dict[str, Any]] = []
        self.at_once = os.cpu_count() or 1

    async def open(self) -> None:
        """Make the namespace for the bridges, and the folder of the bundles as Skerry has it."""
        self._folder.mkdir()
        syscalls.spread(self._folder)
        await _shell(f"ip netns add {self._edge}; ip -n {self._edge} link set lo up")

    async def close(self) -> None:
        """Give it back, and what a measurement that failed has left."""
        await self.clear()
        await _shell(f"ip netns del {self._edge}")
        _ungroup(self._tag)

    async def run(self, count: int) -> float:
        self._made = [self._prepared(number) for number in range(count)]
        turns = asyncio.Semaphore(self.at_once)
        heard = asyncio.ensure_future(self._bell.rung(count))
        await asyncio.sleep(0)

        async def one(words: Mapping[str, Any]) -> None:
            async with turns:
                await _shell(self._script.format(**words))

        begun = time.perf_counter()
        await asyncio.gather(*(one(words) for words in self._made))
        ended = time.perf_counter()
        return max(ended, await heard) - begun

    async def clear(self) -> None:
        turns = asyncio.Semaphore(_REMOVALS)

        async def one(words: Mapping[str, Any]) -> None:
            async with turns:
                await _shell(_REMOVE.format(**words))
            shutil.rmtree(words["folder"])

        await asyncio.gather(*(one(words) for words in self._made))
        self._made = []

    def _prepared(self, number: int) -> dict[str, Any]:
        """Folders and the configuration of one instance: Skerry's own with other paths."""
        name = f"{self._tag}{number}"
        folder = self._folder / name
        for part in ("upper", "work", "root", "exit", "state", "files"):
            (folder / part).mkdir(parents=True)
        (folder / "upper").chmod(0o755)
        os.mkfifo(folder / "sync")
        for file in (self._pattern / "files").iterdir():
            shutil.copy2(file, folder / "files")
        config = json.loads(json.dumps(self._config).replace(str(self._source), str(folder)))
        config["linux"]["cgroupsPath"] = f"/{self._tag}/{name}"
        for namespace in config["linux"]["namespaces"]:
            if namespace["type"] == "network":
                namespace["path"] = f"/run/netns/{name}"
        (folder / "config.json").write_text(json.dumps(config))
        links = {"edge": self._edge, "space": name, "one": f"{self._tag}{number}x", "two": f"{self._tag}{number}y"}
        return {"name": name, "folder": folder, "number": number, "lower": self._lower, **links}


def _ungroup(name: str) -> None:
    """Remove the control groups that held the instances' ones."""
    for group in (*Path("/sys/fs/cgroup").glob(name), *Path("/sys/fs/cgroup").glob(f"*/{name}")):
        group.rmdir()


def lower(root: Path) -> str:
    """The layers under the running instance's root."""
    for line in Path("/proc/self/mounts").read_text().splitlines():
        _, place, kind, options, *_ = line.split()
        if place == str(root) and kind == "overlay":
            return next(option for option in options.split(",") if option.startswith("lowerdir=")).partition("=")[2]
    raise RuntimeError(f"{root} is no overlay")


async def best(side: Bare, count: int) -> int:
    """How many at once give this side its best time: the better of two tries each, so that no bad luck makes it slow."""
    tried: dict[int, float] = {}
    cores = os.cpu_count() or 1
    for side.at_once in (2 * cores, 4 * cores, 8 * cores) * 2:
        seconds = await side.run(count)
        tried[side.at_once] = min(seconds, tried.get(side.at_once, seconds))
        await side.clear()
    return min(tried, key=lambda at_once: tried[at_once])


async def _shell(script: str) -> None:
    process = await asyncio.create_subprocess_exec("/bin/sh", "-c", script, stderr=asyncio.subprocess.PIPE)
    _, complaint = await process.communicate()
    if process.returncode:
        raise RuntimeError(f"the script ended with {process.returncode}: {complaint.decode(errors='replace')}")
