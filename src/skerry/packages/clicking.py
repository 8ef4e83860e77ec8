"""Checks the Click configurations of a VNFD as they are in the package, before anything runs: each fault with its line there.

Values that are known at run time only are stood for by examples.
"""

from __future__ import annotations

import msgspec

from skerry.errors import Fault, InvalidError
from skerry.lvnf import described
from skerry.model.descriptors import DeploymentFlavour, Vdu, Vnfd
from skerry.packages.archive import Archive, read_small
from skerry.packages.report import Report

_MOST = 1 << 20


def check_functions(vnfd: Vnfd, archive: Archive, report: Report) -> None:
    """Check every configuration that a VDU of the VNFD runs."""
    seen: set[tuple[str, str]] = set()
    for flavour in vnfd.flavours.values():
        for vdu in flavour.vdus.values():
            for image in (vdu.image, vdu.function):
                source = image.source if image else ""
                if source.endswith(described.SUFFIX) and source in archive.sizes and (source, vdu.id) not in seen:
                    seen.add((source, vdu.id))
                    report.extend(_faults(flavour, vdu, source, archive, report))


def _faults(flavour: DeploymentFlavour, vdu: Vdu, source: str, archive: Archive, report: Report) -> list[Fault]:
    data = read_small(archive, source, _MOST, report)
    if data is None:
        return []
    try:
        text = data.decode()
    except UnicodeDecodeError:
        return [Fault(message="cannot read the Click configuration: it is no text", code="click", file=source)]
    points = [flavour.cps[name] for name in vdu.cps if name in flavour.cps]
    known = {**vdu.env, "HOSTNAME": vdu.id}
    known |= {name: None for cp in points for name in (cp.id, cp.external, cp.virtual_link) if name}
    try:
        options = described.options_of(vdu.options)
        found = described.check(text, options, known, len(points))
    except InvalidError as wrong:
        found = wrong.faults
    return [
        msgspec.structs.replace(
            fault,
            file=source,
            path=fault.path or f"{vdu.id}",
            message=f"cannot use the Click configuration: {fault.message}",
        )
        for fault in found
    ]
