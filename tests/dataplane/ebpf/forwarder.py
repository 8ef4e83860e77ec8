"""`python -m tests.dataplane.ebpf.forwarder NODE NAMESPACE`: sets a device up, says so, and then waits to be killed."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from skerry.dataplane.driver import DeviceSpec, EngineContext
from skerry.dataplane.drivers.ebpf import Driver
from skerry.dataplane.flows import Change, Output, PortState, Rule, match
from skerry.engine.clock import SystemClock

DEVICE = "kept"
FORWARD = Rule(table=0, priority=1, match=match(in_port=1), actions=(Output(port=2),), cookie=7)


async def _main(node: str, namespace: str) -> None:
    driver = Driver(EngineContext(node=node, data_dir=Path(), clock=SystemClock()))
    await driver.open()
    await driver.prepare(DeviceSpec(name=DEVICE, namespace=namespace))
    for number in (1, 2):
        await driver.attach(DEVICE, PortState(number=number, name=f"p{number}", interface=f"n{number}"))
    await driver.apply(Change(device=DEVICE, revision=3, put_rules=(FORWARD,)))
    print("ready", flush=True)  # noqa: T201
    await asyncio.sleep(3600)


if __name__ == "__main__":
    asyncio.run(_main(*sys.argv[1:]))
