"""A node as a process of its own that is killed with SIGKILL again and again, on real infrastructure."""

from __future__ import annotations

import json
import os
import random
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from benchmarks.core import payload
from skerry.client.node import SETTLED, NodeClient
from skerry.client.profile import Profile, find
from skerry.errors import SkerryError
from skerry.model.operations import Operation
from skerry.model.resources import ResourceState
from skerry.model.states import OperationState
from skerry.model.vnf import VnfInstance
from skerry.packages import build
from tests.conformance.rigs import Rig
from tests.vnfm.builder import vnf_folder

LIMIT_S = 60.0
TINY: dict[str, Any] = {
    "id": "tiny",
    "vdus": {
        "one": {
            "nics": {"port": "lan"},
            "vcpus": 0.1,
            "memory": "16 MB",
            "cmd": ["sleep", "100000"],
            "image": "../Files/busybox.tar",
            "options": {"GRACE": "0 s"},
        }
    },
    "links": {"lan": ""},
    "aspects": {"more": {"max": 3, "deltas": {"one": [1]}}},
    "scripts": {"instantiate_end": {"run": "echo born >> /tmp/born"}},
}


def package(folder: Path) -> Path:
    """The CSAR of a VNF of one busybox, which may be scaled to four."""
    for name, content in vnf_folder(TINY).items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(content)
    (folder / "Files").mkdir()
    payload.image(folder / "Files" / "busybox.tar")
    return build(folder, folder.with_suffix(".csar"))


def _toml(value: object) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{json.dumps(key)} = {_toml(one)}" for key, one in value.items()) + "}"
    return json.dumps(value)


class Victim:
    """`interrupted` counts the kills that cut an operation off on its way."""

    def __init__(self, folder: Path, rig: Rig, type: str, seed: int) -> None:
        self.folder = folder
        self.rig = rig
        self.name = f"chaos{os.getpid() % 100000}{type[0].lower()}"
        self.random = random.Random(seed)
        self.acknowledged: set[str] = set()
        self.kills = 0
        self.interrupted = 0
        self.latest_s = 0.1 if type == "LOCAL" else 0.4  # about what an operation takes
        settings = "\n".join(f"{key} = {_toml(value)}" for key, value in rig.settings().items())
        vim = f'[[vims]]\nid = "real"\ntype = "{type.lower()}"\n[vims.settings]\n{settings}\n'
        (folder / "skerry.toml").write_text(f'node = "{self.name}"\nport = 0\n{vim}')
        self._log = (folder / "log").open("a")
        self._env = {key: value for key, value in os.environ.items() if not key.startswith("SKERRY_")}
        self._env |= {"SKERRY_DATA_DIR": str(folder / "data"), "SKERRY_CONFIG": str(folder / "skerry.toml")}
        self._env |= {"XDG_CONFIG_HOME": str(folder / "config")}
        self.client: NodeClient | None = None

    # -- the process --------------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Start it and wait until it serves everything."""
        self.process = subprocess.Popen(
            [sys.executable, "-m", "skerry", "up"], env=self._env, stdout=subprocess.PIPE, stderr=self._log, text=True
        )
        assert self.process.stdout is not None
        assert self.process.stdout.readline().startswith("http"), (self.folder / "log").read_text()[-2000:]
        self.client = NodeClient(find(self._env, Profile()))
        deadline = time.monotonic() + LIMIT_S
        while not self._answers():
            assert time.monotonic() < deadline, (self.folder / "log").read_text()[-2000:]
            time.sleep(0.02)

    def _answers(self) -> bool:
        assert self.client is not None
        try:
            self.client.info()
        except SkerryError:
            return False
        return True

    def kill(self) -> None:
        """SIGKILL, and nothing else of it: its containers and their shims live on."""
        self.process.send_signal(signal.SIGKILL)
        self._over()
        self.kills += 1

    def stop(self) -> None:
        """Let it end in order."""
        self.process.send_signal(signal.SIGTERM)
        self._over()
        self._log.close()

    def _over(self) -> None:
        assert self.process.stdout is not None
        assert self.client is not None
        self.process.wait(LIMIT_S)
        self.process.stdout.close()
        self.client.close()

    # -- one cycle ----------------------------------------------------------------------------------------------------

    def cycle(self, id: str) -> list[str]:
        """Start an operation, kill the node on its way, start it again and wait until all is settled. What is wrong then."""
        kind, params = self._choice(id)
        assert self.client is not None
        pids = self.pids()
        try:
            self.acknowledged.add(self.client.start(kind, id, params))
        except SkerryError as refused:
            return [f"{kind} was refused: {refused.detail}"]
        time.sleep(self.random.uniform(0.0, self.latest_s))
        self.kill()
        self.interrupted += any(operation.state not in SETTLED for operation in self.operations())
        self.start()
        return [*self.settle(), *self.faults(id, {} if kind in ("vnf.terminate", "vnf.heal") else pids)]

    def _choice(self, id: str) -> tuple[str, dict[str, Any]]:
        vnf = self.record(id)
        if vnf.instantiation_state == "NOT_INSTANTIATED":
            return "vnf.instantiate", {"flavourId": "default"}
        out = {"type": "SCALE_OUT", "aspectId": "more", "numberOfSteps": 1}
        inward = {"type": "SCALE_IN", "aspectId": "more", "numberOfSteps": 1}
        level = vnf.scale_status.get("more", 0)
        choices: list[tuple[str, dict[str, Any]]] = [
            ("vnf.heal", {"vnfcInstanceId": ["one-0"], "cause": "chaos"}),
            ("vnf.terminate", {"terminationType": "FORCEFUL"}),
        ]
        choices += [("vnf.scale", out)] * 2 if level < 3 else []
        choices += [("vnf.scale", inward)] * 2 if level else []
        return self.random.choice(choices)

    def settle(self) -> list[str]:
        """Wait until every operation has ended; what failed is tried again once."""
        assert self.client is not None
        found: list[str] = []
        for operation in self.operations():
            if operation.state in SETTLED and operation.state is not OperationState.FAILED_TEMP:
                continue
            view = self.client.operation(operation.id, wait_s=LIMIT_S).operation
            if view.state is OperationState.FAILED_TEMP:
                self.client.decide(view.id, "retry")
                view = self.client.operation(operation.id, wait_s=LIMIT_S).operation
            if view.state is not OperationState.COMPLETED:
                found.append(f"{view.kind} is {view.state}: {view.error}")
        return found

    # -- looking ------------------------------------------------------------------------------------------------------

    def record(self, id: str) -> VnfInstance:
        """The VNF's record, from the store's file."""
        (row,) = self._rows("SELECT doc FROM vnf_instances WHERE id = ?", id)
        return msgspec.json.decode(row[0], type=VnfInstance)

    def operations(self) -> list[Operation]:
        rows = self._rows("SELECT doc FROM operations ORDER BY rowid")
        return [msgspec.json.decode(row[0], type=Operation) for row in rows]

    def _rows(self, sql: str, *parameters: str) -> list[Any]:
        connection = sqlite3.connect(f"file:{self.folder / 'data' / 'skerry.db'}?mode=ro", uri=True)
        try:
            return connection.execute(sql, parameters).fetchall()
        finally:
            connection.close()

    def real(self) -> dict[str, Mapping[str, Any]]:
        """What the infrastructure has: name → instance."""
        assert self.client is not None
        return {each["name"]: each for each in self.client.vim_resources("real")["compute"]}

    def pids(self) -> dict[str, int]:
        """The process of each instance."""
        return {name: each["pid"] for name, each in self.real().items() if each.get("pid")}

    def faults(self, id: str, pids: Mapping[str, int]) -> list[str]:
        """Lost operations, steps that ran again, orphans, records that are not the truth, and programs that were disturbed
        (`pids` are those of before)."""
        assert self.client is not None
        known = {operation.id for operation in self.operations()}
        found = [f"operation {lost} is lost" for lost in self.acknowledged - known]
        found += self._repeated()
        there = self.client.orphans()
        found += [f"{each.what} {each.kind} {each.name}" for each in there.orphans]
        found += [f"{vim} does not answer: {why}" for vim, why in there.unanswered.items()]
        real = self.real()
        recorded = {r.spec["name"]: r for r in self.record(id).resources.values() if r.kind == "compute"}
        for name, resource in recorded.items():
            if resource.state is not ResourceState.PRESENT or name not in real or real[name]["state"] != "RUNNING":
                found.append(f"{name} is recorded {resource.state} and is {real.get(name, {}).get('state', 'gone')}")
            elif resource.outputs["id"] != real[name]["id"]:
                found.append(f"{name} has another id than recorded")
        now = {name: each.get("pid") for name, each in real.items()}
        return found + [f"{name} was disturbed" for name, pid in pids.items() if name in now and now[name] != pid]

    def _repeated(self) -> list[str]:
        """Steps that were begun again after they had been done."""
        found, done = [], set()
        for (text,) in self._rows("SELECT doc FROM events ORDER BY seq"):
            event = json.loads(text)
            if event["kind"] == "step":
                key = (event["operation"], event["name"])
                if event.get("state") == "RUNNING" and key in done:
                    found.append(f"step {event['name']} of {event['operation']} ran again")
                done |= {key} if event.get("state") == "DONE" else set()
        return found
