"""The physical ports of a simulated infrastructure."""

from __future__ import annotations

from collections.abc import Sequence

from skerry.errors import NotFoundError
from skerry.vim import ipam
from skerry.vim.cabling import PlugSpec, check
from skerry.vim.driver import Tap
from skerry.vim.simulated.calling import Calling


class Cables(Calling):
    """The ability `Cabled`."""

    _ports: Sequence[str] = ()

    def physical_ports(self) -> Sequence[str]:
        """The ports of the settings."""
        return list(self._ports)

    async def plug_port(self, spec: PlugSpec) -> Tap:
        """An interface that only the simulated data plane can have."""
        return await self._call("plug_port", spec.name, lambda: self._plug(spec))

    async def unplug_port(self, port: str, owner: str) -> None:
        """The port leads nowhere."""
        there = self._world.has.plugged.get(port)
        if there is not None and there.owner == owner:
            await self._call("unplug_port", there.name, lambda: self._unplug(port))

    async def list_plugged(self) -> Sequence[PlugSpec]:
        """Every port that is plugged."""
        return await self._call("list_plugged", "", lambda: list(self._world.has.plugged.values()))

    def _plug(self, spec: PlugSpec) -> Tap:
        has = self._world.has
        if spec.port not in self._ports:
            known = ", ".join(self._ports) or "none"
            raise NotFoundError(f"cannot plug {spec.port}: no such port", suggestion=f"the ports are: {known}")
        nics = [nic for machine in has.machines.values() for nic in machine.compute.nics]
        taken = {nic.ip for nic in nics if nic.network == spec.network}
        check(spec, has.networks.get(spec.network), list(has.plugged.values()), taken)
        has.plugged[spec.port] = spec
        return Tap(
            network=spec.network,
            interface=ipam.interface_name("skp", spec.port),
            mac=spec.mac,
            ip=spec.ips[0] if spec.ips else "",
            engine="simulated",
        )

    def _unplug(self, port: str) -> None:
        self._world.has.plugged.pop(port, None)

    def _addresses(self, network: str) -> set[str]:
        """Those of the machines on a network."""
        return {ip for one in self._world.has.plugged.values() if one.network == network for ip in one.ips}

    def _let_go(self, network: str) -> None:
        for port in [port for port, one in self._world.has.plugged.items() if one.network == network]:
            self._unplug(port)
