"""How the suite builds each driver. A new driver needs one entry in `RIGS`; nothing else of the suite changes.

A rig knows a machine on which the driver can work, an image that is usable offline, and how to look behind the driver's
back. Its image has busybox under every applet name.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from skerry.engine.clock import SystemClock
from skerry.vim.driver import ComputeSpec, Driver, DriverContext, ImageSpec, NetworkSpec
from tests.real.dockerd import Dockerd

BUSYBOX = "/bin/busybox"
PORT = "plc/lan"
PLUG = f"plc{os.getpid()}"
"""A physical port, and the interface that it is on a real machine: `tests.real.machine` connects something to it."""


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """What the infrastructure really enforces on an instance; 0 = nothing."""

    memory_bytes: int
    vcpus: float
    pids: int


class Rig(ABC):
    """`real` rigs need root and Debian packages. One rig serves all tests of its driver. `programs`: its instances run
    commands, within limits."""

    real = True
    programs = True

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @staticmethod
    def missing() -> str:
        """What the machine lacks for this rig; "" when it has all."""
        return ""

    @abstractmethod
    def settings(self) -> Mapping[str, Any]:
        """The driver's settings, in their JSON form."""

    def image(self) -> ImageSpec:
        """An image with busybox, from a plain directory."""
        return ImageSpec(name="conformance-busybox", source=str(busybox_root(self.folder / "busybox")))

    async def kill(self, driver: Driver, name: str) -> None:
        """Kill the program of an instance without asking the driver."""
        compute = await driver.get_compute(name)
        assert compute.pid
        os.kill(compute.pid, 9)

    async def limits(self, driver: Driver, name: str) -> Limits:
        """What the kernel enforces on an instance's program."""
        compute = await driver.get_compute(name)
        assert compute.pid
        return cgroup_limits(compute.pid)

    @abstractmethod
    async def strangers(self, driver: Any, image: str, node: str) -> Mapping[str, str]:
        """Make something without Skerry, with the node's id in its name: name → kind."""

    @abstractmethod
    def leftovers(self, node: str) -> Sequence[str]:
        """What of this node's instances and networks is still on the machine, found without the driver."""

    def stop(self) -> None:  # noqa: B027 - most have nothing to end
        """End what the rig started."""


class SimulatedRig(Rig):
    """A world of its own."""

    real = False

    def settings(self) -> Mapping[str, Any]:
        return {"world": f"conformance-{os.getpid()}", "ports": [PORT]}

    async def kill(self, driver: Driver, name: str) -> None:
        self._world().kill(name)

    async def strangers(self, driver: Any, image: str, node: str) -> Mapping[str, str]:
        context = DriverContext(node="another", data_dir=self.folder, clock=SystemClock())
        other = type(driver)(msgspec.convert(self.settings(), type(driver).settings_type), context)
        await other.open()
        await other.create_network(NetworkSpec(name=f"{node}-other", owner="x"))
        await other.create_compute(ComputeSpec(name=f"{node}-box", owner="x", image=image, command=("run",)))
        return {f"{node}-other": "network", f"{node}-box": "compute"}

    async def limits(self, driver: Driver, name: str) -> Limits:
        spec = self._world().machine(name).spec
        return Limits(memory_bytes=spec.memory_bytes, vcpus=spec.vcpus, pids=spec.pids)

    def leftovers(self, node: str) -> Sequence[str]:
        inventory = self._world().inventory()
        return [*inventory["compute"], *inventory["network"]]

    def _world(self) -> Any:
        from skerry.vim.simulated.world import world

        return world(self.settings()["world"])


class LocalRig(Rig):
    """Containers of this host, by the OCI runtime."""

    @staticmethod
    def missing() -> str:
        return lacking("runc", "conmon", "ip", "busybox")

    def settings(self) -> Mapping[str, Any]:
        return {"ports": {PORT: PLUG}}

    async def strangers(self, driver: Any, image: str, node: str) -> Mapping[str, str]:
        """A container by the runtime's own command, and an interface in the namespace of the edge host."""
        bundle = self.folder / f"bundle-{node}"
        bundle.mkdir()
        busybox_root(bundle / "rootfs")
        subprocess.run(["runc", "spec"], cwd=bundle, check=True)
        config = json.loads((bundle / "config.json").read_text())
        config["process"] |= {"terminal": False, "args": ["sleep", "100000"]}
        config["linux"]["cgroupsPath"] = f"/{node}-box"
        (bundle / "config.json").write_text(json.dumps(config))
        root = driver._made.runner.state  # the folder is the driver's own business
        quiet = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        subprocess.run(["runc", "--root", root, "run", "-d", f"{node}-box"], cwd=bundle, check=True, **quiet)
        name = f"x{node}"[:15]
        edge = driver.network.namespace
        subprocess.run(["ip", "-n", edge, "link", "add", name, "type", "bridge"], check=True)
        return {name: "network", f"{node}-box": "compute"}

    def leftovers(self, node: str) -> Sequence[str]:
        done = subprocess.run(["ip", "netns", "list"], capture_output=True, text=True, check=True)
        return [line for line in done.stdout.splitlines() if node in line]


class DockerRig(Rig):
    """An Engine of its own in a private network namespace."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.engine = Dockerd(folder / "dockerd")
        self.engine.start()

    @staticmethod
    def missing() -> str:
        return lacking("dockerd", "docker", "ip", "busybox")

    def settings(self) -> Mapping[str, Any]:
        return {"endpoint": self.engine.endpoint}

    async def strangers(self, driver: Any, image: str, node: str) -> Mapping[str, str]:
        """With Docker's own client."""
        there = {one.name: one.id for one in await driver.list_images()}
        self.engine.docker("network", "create", f"{node}-other")
        self.engine.docker("run", "-d", "--name", f"{node}-box", "--network", "none", there[image], "sleep", "100000")
        return {f"{node}-other": "network", f"{node}-box": "compute"}

    def leftovers(self, node: str) -> Sequence[str]:
        chosen = ["--filter", f"label=skerry.node={node}", "-q"]
        containers = self.engine.docker("ps", "-a", *chosen).split()
        networks = self.engine.docker("network", "ls", *chosen).split()
        volumes = self.engine.docker("volume", "ls", "-q").split()
        return [*containers, *networks, *volumes]

    def stop(self) -> None:
        self.engine.stop()


class LvnfRig(Rig):
    """Micro network functions alone. Nothing that others make is looked at."""

    programs = False

    @staticmethod
    def missing() -> str:
        return lacking("ip")

    def settings(self) -> Mapping[str, Any]:
        return {"ports": {PORT: PLUG}}

    def image(self) -> ImageSpec:
        """A configuration that works with any number of ports, and needs a process."""
        path = self.folder / "conformance.click"
        path.write_text("Idle -> Queue -> RatedUnqueue(1) -> Discard;")
        return ImageSpec(name="conformance-idle", source=str(path))

    async def strangers(self, driver: Any, image: str, node: str) -> Mapping[str, str]:
        return {}

    def leftovers(self, node: str) -> Sequence[str]:
        done = subprocess.run(["ip", "netns", "list"], capture_output=True, text=True, check=True)
        return [line for line in done.stdout.splitlines() if node in line]


RIGS: Mapping[str, type[Rig]] = {
    "SIMULATED": SimulatedRig,
    "LOCAL": LocalRig,
    "LVNF": LvnfRig,
    "DOCKER": DockerRig,
}


def lacking(*programs: str) -> str:
    """Why programs cannot be used here."""
    missing = [
        program for program in programs if not shutil.which(program, path=os.environ["PATH"] + ":/usr/sbin:/sbin")
    ]
    if missing:
        return f"not installed: {', '.join(missing)}"
    return "" if os.geteuid() == 0 else "needs root"


def busybox_root(root: Path) -> Path:
    """A root directory with busybox under every applet name."""
    if not (root / "bin" / "busybox").exists():
        for folder in ("bin", "dev", "etc", "proc", "sys", "tmp", "root", "run", "var"):
            (root / folder).mkdir(parents=True, exist_ok=True)
        shutil.copy2(BUSYBOX, root / "bin" / "busybox")
        applets = subprocess.run([BUSYBOX, "--list"], capture_output=True, text=True, check=True).stdout.split()
        for applet in applets:
            if applet != "busybox":
                (root / "bin" / applet).symlink_to("busybox")
    return root


def cgroup_limits(pid: int) -> Limits:
    """The limits of the cgroups that a process is in (version 1, 2 or both)."""
    paths: dict[str, str] = {}
    for line in Path(f"/proc/{pid}/cgroup").read_text().splitlines():
        _, controllers, path = line.split(":", 2)
        for controller in controllers.split(","):
            paths[controller] = path
    v1 = Path("/sys/fs/cgroup")
    if "memory" in paths:
        quota = int((v1 / "cpu" / paths["cpu"][1:] / "cpu.cfs_quota_us").read_text())
        period = int((v1 / "cpu" / paths["cpu"][1:] / "cpu.cfs_period_us").read_text())
        return Limits(
            memory_bytes=int((v1 / "memory" / paths["memory"][1:] / "memory.limit_in_bytes").read_text()),
            vcpus=max(quota, 0) / period,
            pids=_number((v1 / "pids" / paths["pids"][1:] / "pids.max").read_text()),
        )
    folder = v1 / paths[""][1:]
    quota_text, period_text = (folder / "cpu.max").read_text().split()
    return Limits(
        memory_bytes=_number((folder / "memory.max").read_text()),
        vcpus=_number(quota_text) / int(period_text),
        pids=_number((folder / "pids.max").read_text()),
    )


def _number(text: str) -> int:
    return 0 if text.strip() == "max" else int(text)
