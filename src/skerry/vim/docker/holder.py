"""Containers that hold the network of an instance which the Engine alone cannot connect as asked.

The Engine keeps neither the order of several interfaces nor the MAC of the second and knows no bandwidth. A holder joins
the networks one after the other, is given MACs and queues, and the instance runs in its network namespace: the interfaces
are right before the instance's program starts, and stay when it is stopped. All of it works by the API alone, also on a
remote Engine.
"""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from skerry.errors import ConflictError, DriverError, NotFoundError
from skerry.vim.docker import shape
from skerry.vim.docker.engine import Engine
from skerry.vim.docker.frames import frames, pieces
from skerry.vim.docker.images import Images
from skerry.vim.driver import ComputeSpec, Nic

SUFFIX = "-net"
_ARRANGED = "arranged"
_ARRANGE_S = 10.0
# its first line of input is a script: a command in a container that runs would take the Engine 70 ms
_PROGRAM = (
    f'read -r line; printf %s "$line" | base64 -d | /bin/busybox sh 2>&1; echo {_ARRANGED} $?; exec sleep 2147483647'
)


def shaping(device: str, bits_per_second: int) -> str:
    """A token bucket: 10 ms of the rate, but room for three full frames; longer than 100 ms in the queue is dropped."""
    burst = max(bits_per_second // 800, 5000)
    return f"/sbin/tc qdisc replace dev {device} root tbf rate {bits_per_second}bit burst {burst} latency 100ms"


def inner_script(spec: ComputeSpec, nics: Sequence[Nic]) -> str:
    """Commands for inside the network namespace: MACs, queues for what the instance sends, and its own DNS servers.

    The Engine would put its resolver before them, which forwards nothing from a network without a way out. The shell's
    own `tc` is a lesser one.
    """
    lines = ["set -e"]
    for wanted, nic in zip(spec.nics, nics, strict=True):
        change = "; ".join(f"ip link set {nic.device} {what}" for what in ("down", f"address {nic.mac}", "up"))
        lines.append(f"if [ $(cat /sys/class/net/{nic.device}/address) != {nic.mac} ]; then {change}; fi")
        if wanted.egress_bps:
            lines.append(shaping(nic.device, wanted.egress_bps))
    if spec.dns:
        servers = "".join(f"nameserver {address}\\n" for address in spec.dns)
        lines.append(f"printf '{servers}' >/etc/resolv.conf")
    if spec.hosts:
        lines.append(names_script(spec))
    lines += [f"cat /sys/class/net/{nic.device}/iflink" for nic in nics]
    return "\n".join(lines)


def names_script(spec: ComputeSpec) -> str:
    """Commands that put names into the hosts file; what the Engine wrote stays."""
    lines = "".join(f"{address} {name}\\n" for name, address in spec.hosts.items())
    return f"keep=$(sed '/^# skerry$/,$d' /etc/hosts); printf '%s\\n# skerry\\n{lines}' \"$keep\" >/etc/hosts"


def outer_script(spec: ComputeSpec, peers: Sequence[str]) -> str:
    """Commands for the host's side of the interfaces: queues for what the instance receives."""
    lines = ["set -e"]
    for wanted, peer in zip(spec.nics, peers, strict=True):
        if wanted.ingress_bps:
            device = f"$(ip -o link | sed -n 's/^{peer}: \\([^@:]*\\).*/\\1/p')"
            lines.append(shaping(device, wanted.ingress_bps))
    return "\n".join(lines) if len(lines) > 1 else ""


class Holders:
    """Makes, finds and removes holders. `run` of a command inside is the driver's exec."""

    def __init__(self, engine: Engine, images: Images, node: str) -> None:
        self._engine, self._images, self._node = engine, images, node

    def name(self, instance: str) -> str:
        """What an instance's holder is called."""
        return shape.engine_name(self._node, instance, SUFFIX)

    async def have(self, nested: shape.Nested) -> tuple[str, bool]:
        """The id of the instance's holder, and whether its network is complete; if not, `complete` it.

        One that is prepared is used; one that is only half there, as after a crash, is made anew.
        """
        name = self.name(nested.spec.name)
        try:
            found = await self._engine.get(f"/containers/{name}/json")
        except NotFoundError:
            found = None
        wanted = {shape.engine_name(self._node, nic.network) for nic in nested.nics}
        if found and found["State"]["Running"] and wanted <= set(found["NetworkSettings"]["Networks"]):
            return found["Id"], True
        if found and found["State"]["Status"] == "created" and _prepared(found, nested):
            return found["Id"], False
        if found:
            await self._engine.delete(f"/containers/{name}", force=True, v=True)
        return await self._make(name, nested), False

    async def prepare(self, nested: shape.Nested) -> None:
        """Make the holder of a new instance without starting it, so that the start need not wait for that."""
        name = self.name(nested.spec.name)
        try:
            await self._make(name, nested)
        except ConflictError:  # one of this name was left by a crash
            await self._engine.delete(f"/containers/{name}", force=True, v=True)
            await self._make(name, nested)

    async def tell_names(self, spec: ComputeSpec) -> None:
        """Put names into the hosts file that the instance shares with its holder."""
        script = f"set -e; {names_script(spec)}"
        await self._inside(self.name(spec.name), script)

    async def remove(self, instance: str) -> None:
        """Remove the instance's holder with its interfaces."""
        await self._engine.delete(f"/containers/{self.name(instance)}", force=True, v=True)

    async def remove_publishing(self) -> None:
        """Remove the network of published ports once nobody is on it."""
        try:
            await self._engine.delete(f"/networks/{self._publishing()}")
        except (DriverError, ConflictError):
            return  # someone is still attached

    async def once(self, argv: Sequence[str], host: Mapping[str, Any]) -> None:
        """Run a command in a container of its own, on the Engine's side, to its end."""
        labels = {shape.NODE: self._node, shape.ROLE: "once"}
        body = {
            "Image": await self._images.tools(),
            "Entrypoint": [],
            "Cmd": list(argv),
            "Labels": labels,
            "HostConfig": {"LogConfig": {"Type": "none"}, **host},
        }
        made = (await self._engine.post("/containers/create", body))["Id"]
        try:
            await self._engine.post(f"/containers/{made}/start")
            ended = await self._engine.post(f"/containers/{made}/wait")
        finally:
            await self._engine.delete(f"/containers/{made}", force=True, v=True)
        if ended["StatusCode"]:
            raise DriverError(f"cannot run {' '.join(argv)} for the node {self._node}: exit code {ended['StatusCode']}")

    async def _make(self, name: str, nested: shape.Nested) -> str:
        spec, nics = nested.spec, nested.nics
        # what hosts there are is known at the start: a holder with interfaces writes them when it arranges these
        identity = shape.network_identity(msgspec.structs.replace(spec, hosts={}) if nics else spec)
        exposed, bindings = shape.ports(spec)
        networks = [shape.engine_name(self._node, nic.network) for nic in nics]
        first: dict[str, Any] = {}
        if nics:
            first = {
                "MacAddress": nics[0].mac,
                "NetworkingConfig": {"EndpointsConfig": {networks[0]: shape.endpoint(nics[0], nics[0].mac)}},
            }
        mode = networks[0] if nics else await self._publish() if spec.published else "none"
        body = {
            "Image": await self._images.tools(),
            "Entrypoint": [],
            "Cmd": ["/bin/busybox", "sh", "-c", _PROGRAM],
            "OpenStdin": True,
            "Labels": shape.labels_of(self._node, nested, "holder"),
            "ExposedPorts": exposed,
            **identity,
            **first,
            "HostConfig": {
                **identity["HostConfig"],
                "NetworkMode": mode,
                "PortBindings": bindings,
                "CapAdd": ["NET_ADMIN"],
                "LogConfig": {"Type": "none"},
            },
        }
        made: str = (await self._engine.post("/containers/create", body, name=name))["Id"]
        return made

    async def complete(self, nested: shape.Nested) -> None:
        """Start the holder that was just made and give it the instance's network."""
        spec, nics = nested.spec, nested.nics
        name = self.name(spec.name)
        reader, writer = await self._engine.hijack(f"/containers/{name}/attach?stream=1&stdin=1&stdout=1")
        try:
            await self._join(name, spec, nics)
            if nics:
                await self._arrange(name, spec, nics, reader, writer)
            elif spec.hosts:
                await self.tell_names(spec)
        finally:
            writer.close()

    async def _join(self, name: str, spec: ComputeSpec, nics: Sequence[Nic]) -> None:
        """Start the holder, which joins its first network, and let it join the others one by one."""
        networks = [shape.engine_name(self._node, nic.network) for nic in nics]
        await self._engine.post(f"/containers/{name}/start")
        for network, nic in list(zip(networks, nics, strict=True))[1:]:
            connection = {"Container": name, "EndpointConfig": shape.endpoint(nic, nic.mac)}
            await self._engine.post(f"/networks/{network}/connect", connection)
        if spec.published and nics:
            await self._engine.post(f"/networks/{await self._publish()}/connect", {"Container": name})

    async def _arrange(
        self,
        name: str,
        spec: ComputeSpec,
        nics: Sequence[Nic],
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
    ) -> None:
        script = inner_script(spec, nics)
        writer.write(base64.b64encode(script.encode()) + b"\n")
        printed, code = await _answer(reader)
        if code != "0":
            raise DriverError(
                f"cannot prepare the interfaces of {name}: {printed.strip()}", call=script, answer=printed
            )
        outer = outer_script(spec, printed.split()[-len(nics) :])
        if outer:
            host = {"NetworkMode": "host", "CapAdd": ["NET_ADMIN"]}
            await self.once(["/bin/busybox", "sh", "-c", outer], host)

    async def _inside(self, name: str, script: str) -> str:
        body = {"Cmd": ["/bin/busybox", "sh", "-c", script], "Tty": True, "AttachStdout": True}
        made = (await self._engine.post(f"/containers/{name}/exec", body))["Id"]
        printed = b""
        async with self._engine.stream("POST", f"/exec/{made}/start", body={"Detach": False, "Tty": True}) as pieces:
            async for piece in pieces:
                printed += piece
        code = (await self._engine.get(f"/exec/{made}/json"))["ExitCode"]
        text = printed.decode(errors="replace")
        if code:
            raise DriverError(f"cannot prepare the interfaces of {name}: {text.strip()}", call=script, answer=text)
        return text

    def _publishing(self) -> str:
        return shape.engine_name(self._node, "publish", SUFFIX)

    async def _publish(self) -> str:
        """The network by which published ports are reached; the other networks have no way out."""
        body = {
            "Name": self._publishing(),
            "CheckDuplicate": True,
            "Driver": "bridge",
            "Labels": {shape.NODE: self._node, shape.ROLE: "publish"},
        }
        try:
            await self._engine.post("/networks/create", body)
        except ConflictError:
            return self._publishing()
        return self._publishing()


def _prepared(found: Mapping[str, Any], nested: shape.Nested) -> bool:
    """Whether a holder that was never started is for these interfaces."""
    known = shape.nested_of(found["Config"]["Labels"])
    return (known.asked, known.nics) == (nested.asked, nested.nics)


async def _answer(reader: asyncio.StreamReader) -> tuple[str, str]:
    """What a holder's script printed, and its exit code; none when it did not come to its end."""
    printed = b""
    try:
        async with asyncio.timeout(_ARRANGE_S):
            async for _, data in frames(pieces(reader)):
                printed += data
                text, ended, code = printed.decode(errors="replace").rpartition(f"{_ARRANGED} ")
                if ended and code.endswith("\n"):
                    return text, code.strip()
    except TimeoutError:
        return f"{printed.decode(errors='replace')} (no end within {_ARRANGE_S:g} s)", ""
    return printed.decode(errors="replace"), ""
