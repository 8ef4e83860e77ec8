"""How a VNF's record compares with the infrastructure now."""

from __future__ import annotations

from collections.abc import Mapping

from skerry.errors import NotFoundError
from skerry.model.resources import Resource, ResourceState
from skerry.model.vnf import VnfInstance
from skerry.vim.connections import Vims
from skerry.vim.driver import Compute, ComputeState

SOUND = frozenset({ComputeState.CREATED, ComputeState.RUNNING, ComputeState.STOPPING, ComputeState.EXITED})


async def observe(vims: Vims, instance: VnfInstance) -> dict[str, Compute | None]:
    """VNFC → what the infrastructure says of it; None when it is gone."""
    found: dict[str, Compute | None] = {}
    for key, resource in instance.resources.items():
        if resource.kind == "compute":
            driver = await vims.driver(resource.spec["vim"])
            try:
                found[key.removeprefix("compute:")] = await driver.get_compute(resource.spec["name"])
            except NotFoundError:
                found[key.removeprefix("compute:")] = None
    return found


async def broken(vims: Vims, instance: VnfInstance, *, running: bool = True) -> list[str]:
    """The VNFCs that are gone or failed; with `running` also those that do not run although they should."""
    bad: list[str] = []
    for vnfc, compute in (await observe(vims, instance)).items():
        recorded = instance.resources[f"compute:{vnfc}"].state is ResourceState.PRESENT
        powered = f"power:{vnfc}" in instance.resources
        idle = running and powered and compute is not None and compute.state is not ComputeState.RUNNING
        if compute is None or not recorded or compute.state not in SOUND or idle:
            bad.append(vnfc)
    return bad


def none_works(vnf: VnfInstance) -> bool:
    """Whether every VNFC is recorded as failed."""
    return {name for group in vnf.vnfcs.values() for name in group} <= set(failed_vnfcs(vnf.resources))


def failed_vnfcs(resources: Mapping[str, Resource]) -> list[str]:
    """The VNFCs recorded as failed."""
    return [
        key.removeprefix("compute:")
        for key, resource in resources.items()
        if resource.kind == "compute" and resource.state is ResourceState.FAILED
    ]
