"""The SIP part of the demo: SIPp client and server from standard packages, scaled, broken, healed and removed."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from wire import SipTap

if TYPE_CHECKING:
    from demo import Stage

HERE = Path(__file__).parent


def play(stage: Stage) -> None:
    """Packages to calls, two clients, a killed server, and away with it all."""
    onboard(stage)
    stage.say("Deploy the service")
    took = stage.skerry("ns", "deploy", "sip-service", "--name", "sip")
    service = stage.ask("ns", "show", "sip")
    server = member(service, "sipp_server")
    with SipTap(bridge_of(stage)) as tap:
        first = tap.wait(5, 20)
        one = tap.rate(4)
        stage.expect(one > 5, f"SIP calls complete between two containers: {one:.1f} a second")
        stage.note("deploy server and client", took, f"{one:.1f} calls/s, the first 5 after {first:.2f} s")
        scale(stage, tap, one)
        heal(stage, tap, server, one)
    away(stage)


def onboard(stage: Stage) -> None:
    """SOL004 packages of folders, checked and onboarded."""
    stage.say("Build and onboard the packages")
    begun = time.monotonic()
    for name in ("server", "client", "service"):
        stage.skerry("package", "onboard", os.path.relpath(HERE / name))
    stage.note("build and onboard 3 packages", time.monotonic() - begun)


def scale(stage: Stage, tap: SipTap, one: float) -> None:
    """A second client doubles the rate of calls."""
    stage.say("Scale to two clients")
    took = stage.skerry("ns", "scale", "sip", "--vnf", "sipp_client-0")
    stage.skerry("vnf", "list")
    tap.wait(5, 20)
    moment = time.monotonic()
    two = tap.rate(4)
    stage.expect(len(tap.clients(moment)) == 2, "calls come from two clients")
    stage.expect(two > 1.7 * one, f"the rate of calls doubled: {two:.1f} a second")
    stage.note("scale to two clients", took, f"{two:.1f} calls/s")


def heal(stage: Stage, tap: SipTap, server: str, one: float) -> None:
    """kill -9 of the server's program behind Skerry's back."""
    stage.say("Kill the server")
    pid = pid_of(stage, "server-0")
    stage.console.print(f"[bold]$ kill -9 {pid}[/bold]   (the server's program, behind Skerry's back)")
    begun = time.monotonic()
    os.kill(pid, signal.SIGKILL)
    stage.until(lambda: "CLEARED" in alarms(stage, server), "the alarm is cleared", 30)
    tap.wait(3, 30)
    stage.skerry("op", "list")
    stage.expect("RAISED" in alarms(stage, server), "the failure was noticed by itself and raised an alarm")
    rate = tap.rate(4)
    stage.expect(rate > 1.7 * one, f"the server was healed by itself and calls resumed: {rate:.1f} a second")
    stage.note("server killed: longest time without a call", tap.outage(begun), f"{rate:.1f} calls/s again")


def alarms(stage: Stage, subject: str) -> set[str]:
    """The states of the alarms of an instance so far."""
    return {e["state"] for e in stage.ask_lines("events", "--subject", subject) if e["kind"] == "alarm"}


def away(stage: Stage) -> None:
    """Terminate and delete everything."""
    stage.say("Terminate")
    took = stage.skerry("ns", "terminate", "sip")
    stage.note("terminate", took)
    stage.skerry("ns", "delete", "sip")
    stage.drop("sip-service", "sipp-client", "sipp-server")


def member(service: Any, profile: str) -> str:
    """The VNF instance of a profile."""
    return str(next(entry["vnf"]["id"] for entry in service["members"] if entry["profile"] == profile))


def bridge_of(stage: Stage) -> str:
    """The kernel's name of the bridge that carries the service's virtual link."""
    networks = stage.ask("vim", "show", "local")["resources"]["networks"]
    return str(next(n["id"] for n in networks if n["name"].endswith("sip-link")))


def pid_of(stage: Stage, vnfc: str) -> int:
    """The process that runs in a VNFC."""
    computes = stage.ask("vim", "show", "local")["resources"]["compute"]
    return int(next(c["pid"] for c in computes if c["name"].endswith(vnfc)))
