"""What an application carries along when it moves: the files of one folder, from its old containers into its new ones.

They are read by `tar` inside the one and written by `tar` inside the other, so no image's or host's layout matters.
Doing it again overwrites.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from skerry.engine.engine import Engine
from skerry.engine.kinds import StepContext
from skerry.errors import DriverError, TooLargeError, UnsupportedError
from skerry.meo.desk import MeoDesk
from skerry.model.app import AppInstance
from skerry.model.appd import AppD
from skerry.vim.driver import Exec, ExecResult

FOLDER = "/var/lib/mec"
VARIABLE = "MEC_STATE_DIR"
MOST = 64 * 1024 * 1024
"""Most bytes of an application's state, as an archive."""

PACK = ("sh", "-c", f"mkdir -p {FOLDER} && tar -cf - -C {FOLDER} .")
UNPACK = ("sh", "-c", f"mkdir -p {FOLDER} && tar -xf - -C {FOLDER}")


def transfers(appd: AppD) -> bool:
    """Whether an application has state that can be carried along."""
    capability = appd.user_context_transfer_capability
    return capability is not None and capability.stateful_application and bool(capability.user_context_transfer_support)


class StateSteps:
    """The handler."""

    def __init__(self, desk: MeoDesk) -> None:
        self._desk = desk

    def register(self, engine: Engine) -> None:
        engine.add_handler("mec.state", self.carry)

    async def carry(self, context: StepContext) -> Mapping[str, Any]:
        """From each container of the old network service into its like of the new one."""
        instance = self._desk.instance(context.operation.subject)
        old = self._containers(instance, context.args["from"])
        new = self._containers(instance, context.args["to"])
        size = 0
        for (there, source), (here, target) in zip(old, new, strict=True):
            packed = await self._run(there, source, PACK)
            if len(packed.stdout) > MOST:
                raise TooLargeError(
                    f"cannot move the state of {instance.id}: it is over {MOST // 1024**2} MiB",
                    suggestion=f"keep less in {FOLDER}, or in a service that does not move",
                )
            await self._run(here, target, UNPACK, packed.stdout)
            size += len(packed.stdout)
        return {"bytes": size}

    def _containers(self, instance: AppInstance, ns_id: str) -> list[tuple[str, str]]:
        """Infrastructure and name of each, in the order of the VNF's VNFCs."""
        return [
            (str(resource.spec["vim"]), str(resource.spec["name"]))
            for vnf in self._desk.vnfs(instance, ns_id)
            for key, resource in sorted(vnf.resources.items())
            if key.startswith("compute:")
        ]

    async def _run(self, vim: str, name: str, command: tuple[str, ...], stdin: bytes = b"") -> ExecResult:
        driver = await self._desk.nfvo.desk.vims.driver(vim)
        if not isinstance(driver, Exec):
            raise UnsupportedError(
                f"cannot move the state of {name}: the driver of {vim} runs no commands inside instances",
                suggestion="relocate between infrastructures that do",
            )
        done = await driver.exec(name, command, stdin=stdin, timeout_s=300.0)
        if done.exit_code:
            told = done.stderr.decode(errors="replace").strip()
            raise DriverError(f"cannot move the state of {name}: {told or done.exit_code}", call=" ".join(command))
        return done
