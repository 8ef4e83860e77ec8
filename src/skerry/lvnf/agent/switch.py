"""The agent's bridge in Open vSwitch: a port for each function's port, to which nothing is flooded.

A port that floods would give a function frames that nobody steered to it, and would give them back; hence no-flood. It is set
by OpenFlow and is no part of the database, so it is set again whenever a port is looked at.
"""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

from skerry.errors import DriverError, UnavailableError

RUN = Path("/run/openvswitch")
"""Where the sockets of the machine's Open vSwitch are."""
_PATIENCE_S = 20
_SEARCH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
LABEL = "skerry-lvnf"


class Switch:
    """One bridge. All calls block. Errors: `DriverError` with what Open vSwitch says."""

    def __init__(self, bridge: str, run: Path = RUN) -> None:
        self.bridge = bridge
        self._run_folder = run
        for program in ("ovs-vsctl", "ovs-ofctl"):
            if not shutil.which(program, path=_SEARCH):
                raise UnavailableError(
                    f"cannot use the bridge {bridge}: {program} is not installed",
                    suggestion="apt-get install openvswitch-switch",
                )

    def ensure(self) -> None:
        """Have the bridge. A new one is of the kernel where it has the module, else of user space."""
        if self._call("ovs-vsctl", "--columns=name", "find", "bridge", f"name={self.bridge}").strip():
            return
        kind = "system" if Path("/sys/module/openvswitch").exists() else "netdev"
        self._call(
            "ovs-vsctl",
            "--may-exist",
            "add-br",
            self.bridge,
            "--",
            "set",
            "bridge",
            self.bridge,
            f"datapath_type={kind}",
        )

    def attach(self, interface: str, owner: str) -> bool:
        """Make an interface a port of the bridge that nothing is flooded to; whether the switch says that it is so."""
        label = f"external_ids:{LABEL}={owner}"
        self._call(
            "ovs-vsctl", "--may-exist", "add-port", self.bridge, interface, "--", "set", "interface", interface, label
        )
        self._call("ovs-ofctl", "-O", "OpenFlow10", "mod-port", self._door, interface, "no-flood")
        return self.floods_not(interface)

    def floods_not(self, interface: str) -> bool:
        """Whether nothing is flooded to a port."""
        shown = self._call("ovs-ofctl", "-O", "OpenFlow10", "dump-ports-desc", self._door, interface)
        return any(line.strip().startswith("config:") and "NO_FLOOD" in line for line in shown.splitlines())

    def detach(self, interface: str) -> None:
        """Take the port away; one that is not there is no error."""
        self._call("ovs-vsctl", "--if-exists", "del-port", self.bridge, interface)

    def started(self) -> str:
        """What changes when the switch is started anew; "" while it does not run."""
        try:
            return (self._run_folder / "ovs-vswitchd.pid").read_text().strip()
        except FileNotFoundError:
            return ""

    @property
    def _door(self) -> str:
        return f"unix:{self._run_folder}/{self.bridge}.mgmt"

    def _call(self, program: str, *arguments: str) -> str:
        database = (
            [f"--db=unix:{self._run_folder}/db.sock", f"--timeout={_PATIENCE_S}"] if program == "ovs-vsctl" else []
        )
        call = [program, *database, *arguments]
        try:
            done = subprocess.run(
                call, env={"PATH": _SEARCH}, capture_output=True, text=True, check=False, timeout=2 * _PATIENCE_S
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            raise DriverError(f"cannot run {program}: {error}", call=" ".join(call), transient=True) from error
        if done.returncode:
            answer = (done.stderr or done.stdout).strip()
            raise DriverError(
                f"cannot change the bridge {self.bridge}: {answer[-300:]}", call=" ".join(call), answer=answer
            )
        return done.stdout
