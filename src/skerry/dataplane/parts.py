"""What one owner wants of the data plane as a whole: devices, ports and intents that come, change and go together. Pure."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from skerry.dataplane.intents import Device, Intents, Port
from skerry.dataplane.records import DeviceRecord, Wishes

NS = "ns:"
"""How the owners begin that are NSs, and so their ports."""


class Part(msgspec.Struct, frozen=True, kw_only=True):
    """The ids of `ports` begin with the owner's name and a colon. `devices` are those that the ports need; others may share
    them."""

    devices: tuple[Device, ...] = ()
    ports: tuple[Port, ...] = ()
    intents: tuple[Intents, ...] = ()


def declared(ports: Iterable[Port], devices: Iterable[Device], zones: Iterable[str]) -> list[Port]:
    """Those that are no part's of an NS, so that who names one of these may rely on it, and are on devices of these zones or of
    any. Without zones, or with the zone "", all of them."""
    wanted = set(zones)
    elsewhere = {one.id for one in devices if one.zone and wanted and not wanted & {"", one.zone}}
    return [port for port in ports if not port.id.startswith(NS) and port.device not in elsewhere]


def put_hardware(draft: Wishes, owner: str, part: Part) -> None:
    """Make the part's ports exactly those of the owner, on devices that are there; a device that loses its last port goes."""
    for device in part.devices:
        known = draft.devices.get(device.id)
        draft.devices[device.id] = DeviceRecord(
            device=device, engine=known.engine if known else "", revision=known.revision if known else 0
        )
    kept = {port.id for port in part.ports}
    gone = [port for id, port in draft.ports.items() if id.startswith(f"{owner}:") and id not in kept]
    for port in gone:
        del draft.ports[port.id]
    for port in part.ports:
        draft.ports[port.id] = numbered(draft, port)
    used = {port.device for port in draft.ports.values()}
    for id in {port.device for port in gone} - used:
        draft.devices.pop(id, None)


def numbered(draft: Wishes, port: Port) -> Port:
    """The port with the number that it has, or else a free one of its device."""
    known = draft.ports.get(port.id)
    if port.number:
        return port
    if known is not None and known.device == port.device:
        return msgspec.structs.replace(port, number=known.number)
    taken = {one.number for one in draft.ports.values() if one.device == port.device}
    free = next(number for number in range(1, 65280) if number not in taken)
    return msgspec.structs.replace(port, number=free)
