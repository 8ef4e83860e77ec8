"""The typed client of a node: our own API and the ETSI APIs, as the CLI and the tests call them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from skerry.client import snapshots
from skerry.client.http import Http
from skerry.client.profile import Profile
from skerry.client.views import (
    AppView,
    ExecAnswer,
    HostView,
    NodeInfo,
    NsView,
    OperationView,
    PackageView,
    SnapshotView,
    VimInfo,
    VnfView,
)
from skerry.model.explanation import Explanation
from skerry.model.operations import Event, Operation, Plan
from skerry.model.orphans import Found
from skerry.model.states import FINAL, OperationState
from skerry.vim.driver import ComputeStats, LogLine

OWN = "/skerry/v1"
SVG = "image/svg+xml"
DISCARD_S = 3600.0
VNFLCM = "/vnflcm/v2/vnf_instances"
SNAPSHOTS = "/vnflcm/v2/vnf_snapshots"
NSLCM = "/nslcm/v2/ns_instances"
SETTLED = frozenset({*FINAL, OperationState.FAILED_TEMP})
"""States in which an operation waits for nobody but a person."""

APPLCM = "/app_lcm/v1/app_instances"
CONTENT = {
    "vnf": "/vnfpkgm/v2/vnf_packages/{id}/package_content",
    "ns": "/nsd/v2/ns_descriptors/{id}/nsd_content",
    "app": "/app_pkgm/v1/app_packages/{id}/package_content",
}
RECORDS = {"vnf": "/vnfpkgm/v2/vnf_packages", "ns": "/nsd/v2/ns_descriptors", "app": "/app_pkgm/v1/app_packages"}
INSTANCES = {"vnf": VNFLCM, "ns": NSLCM, "app": APPLCM}
VERBS = {"change_package": "change_vnfpkg", "configure": "configure_platform_for_app"}
"""Operations whose task resource has another name."""


class NodeClient:
    """Everything a node can be asked, as methods. Errors are those of `skerry.errors`."""

    def __init__(self, profile: Profile, *, timeout_s: float = 120.0) -> None:
        self.http = Http(profile, timeout_s=timeout_s)

    def close(self) -> None:
        """Let the connections go."""
        self.http.close()

    # -- node and infrastructures ---------------------------------------------------------------------------------------

    def info(self) -> NodeInfo:
        """The node."""
        return self.http.get(f"{OWN}/node", NodeInfo)

    def vims(self) -> list[VimInfo]:
        """Registered infrastructures."""
        return self.http.every(f"{OWN}/vims", VimInfo)

    def register_vim(self, request: Mapping[str, Any]) -> VimInfo:
        """Register an infrastructure."""
        return msgspec.json.decode(self.http.post(f"{OWN}/vims", request).content, type=VimInfo)

    def delete_vim(self, id: str) -> None:
        """Forget an infrastructure."""
        self.http.send("DELETE", f"{OWN}/vims/{id}")

    def vim_resources(self, id: str) -> dict[str, Any]:
        """What an infrastructure has."""
        return self.http.get(f"{OWN}/vims/{id}/resources", dict[str, Any])

    def backup(self, target: Path) -> int:
        """Write a backup of the node to a file; returns its size. The file appears whole or not at all."""
        return self.http.fetch(f"{OWN}/backup", target)

    def orphans(self, vim: str = "") -> Found:
        """What infrastructure and records disagree about."""
        return self.http.get(f"{OWN}/orphans", Found, vim=vim)

    def delete_orphan(self, vim: str, kind: str, name: str, *, foreign: bool = False) -> None:
        """Remove what nobody records, or with `foreign` what somebody else made."""
        params = {"foreign": "true"} if foreign else {}
        self.http.send("DELETE", f"{OWN}/orphans/{vim}/{kind}/{name}", params=params)

    def adopt_orphan(self, vim: str, kind: str, name: str) -> str:
        """Record it with the VNF that should have it; returns the VNF's id."""
        return str(self.http.post(f"{OWN}/orphans/{vim}/{kind}/{name}/adopt", {}).json()["vnf"])

    def recreate_orphan(self, vim: str, kind: str, name: str) -> str:
        """Make again what is recorded and gone; returns the operation's id."""
        return self.http.post(f"{OWN}/orphans/{vim}/{kind}/{name}/recreate", {}).headers["Location"].rpartition("/")[2]

    # -- packages -------------------------------------------------------------------------------------------------------

    def packages(self) -> list[PackageView]:
        """VNF packages and NSDs."""
        return self.http.every(f"{OWN}/packages", PackageView)

    def onboard(self, kind: str, archive: Path, user_data: Mapping[str, Any]) -> str:
        """Create a record (`kind` vnf, ns or app) and upload the archive. A refused archive leaves no record behind."""
        named = {"appPkgName": archive.stem} if kind == "app" else {}
        created = self.http.post(RECORDS[kind], {**named, "userDefinedData": user_data}).json()
        id = str(created["id"])
        try:
            with archive.open("rb") as content:
                headers = {"Content-Type": "application/zip", "Content-Length": str(archive.stat().st_size)}
                self.http.send("PUT", CONTENT[kind].format(id=id), content=content, headers=headers)
        except BaseException:
            self.http.send("DELETE", f"{RECORDS[kind]}/{id}")
            raise
        return id

    def download(self, kind: str, id: str, target: Path) -> int:
        """Fetch an archive as it was uploaded, into a file that appears whole or not at all; returns its size."""
        return self.http.fetch(CONTENT[kind].format(id=id), target)

    def switch(self, kind: str, id: str, *, enabled: bool) -> None:
        """Enable or disable a package."""
        word = "nsdOperationalState" if kind == "ns" else "operationalState"
        self.http.patch(f"{RECORDS[kind]}/{id}", {word: "ENABLED" if enabled else "DISABLED"})

    def delete_package(self, kind: str, id: str) -> None:
        """Delete a package."""
        self.http.send("DELETE", f"{RECORDS[kind]}/{id}")

    # -- instances ------------------------------------------------------------------------------------------------------

    def vnfs(self) -> list[VnfView]:
        """VNFs."""
        return self.http.every(f"{OWN}/vnfs", VnfView)

    def vnf(self, id: str) -> VnfView:
        """One VNF."""
        return self.http.get(f"{OWN}/vnfs/{id}", VnfView)

    def nss(self) -> list[NsView]:
        """NSs."""
        return self.http.every(f"{OWN}/nss", NsView)

    def ns(self, id: str) -> NsView:
        """One NS."""
        return self.http.get(f"{OWN}/nss/{id}", NsView)

    def create_vnf(self, vnfd_id: str, *, name: str, description: str, metadata: Mapping[str, Any]) -> str:
        """Make a VNF record; returns its id."""
        body = {
            "vnfdId": vnfd_id,
            "vnfInstanceName": name,
            "vnfInstanceDescription": description,
            "metadata": metadata,
        }
        return str(self.http.post(VNFLCM, body).json()["id"])

    def create_ns(self, nsd_id: str, *, name: str, description: str) -> str:
        """Make an NS record; returns its id."""
        body = {"nsdId": nsd_id, "nsName": name, "nsDescription": description}
        return str(self.http.post(NSLCM, body).json()["id"])

    def apps(self) -> list[AppView]:
        """Applications."""
        return self.http.every(f"{OWN}/apps", AppView)

    def app(self, id: str) -> AppView:
        """One application."""
        return self.http.get(f"{OWN}/apps/{id}", AppView)

    def create_app(self, app_d_id: str, *, name: str, description: str, host: str = "") -> str:
        """Make an application record; returns its id."""
        body = {"appDId": app_d_id, "appInstanceName": name, "appInstanceDescription": description}
        placed = {"appPlacementInfo": {"mepId": host}} if host else {}
        return str(self.http.post(APPLCM, {**body, **placed}).json()["id"])

    def delete_app(self, id: str) -> None:
        """Delete an application record."""
        self.http.send("DELETE", f"{APPLCM}/{id}")

    def hosts(self) -> list[HostView]:
        """MEC hosts."""
        return self.http.every(f"{OWN}/hosts", HostView)

    def describe_host(self, id: str, known: Mapping[str, Any]) -> HostView:
        """Say what is known of a MEC host."""
        headers = {"Content-Type": "application/json"}
        response = self.http.send("PUT", f"{OWN}/hosts/{id}", content=msgspec.json.encode(known), headers=headers)
        return msgspec.json.decode(response.content, type=HostView)

    def release_host(self, id: str) -> None:
        """Forget what was said of a MEC host."""
        self.http.send("DELETE", f"{OWN}/hosts/{id}")

    def delete_vnf(self, id: str) -> None:
        """Delete a VNF record."""
        self.http.send("DELETE", f"{VNFLCM}/{id}")

    def delete_ns(self, id: str) -> None:
        """Delete an NS record."""
        self.http.send("DELETE", f"{NSLCM}/{id}")

    def snapshots(self, vnf: str = "") -> list[SnapshotView]:
        """Snapshots of all VNFs or of one."""
        return self.http.every(f"{OWN}/snapshots", SnapshotView, vnf=vnf)

    def create_snapshot(self) -> str:
        """An empty record of a snapshot, for `vnf.create_snapshot` to fill; returns its id."""
        return str(self.http.post(SNAPSHOTS, {}).json()["id"])

    def export_snapshot(self, id: str, name: str, target: Path) -> int:
        """A snapshot as a file that other nodes take; its size."""
        return snapshots.export(self.http, id, name, target)

    def import_snapshot(self, source: Path, vnf: str) -> str:
        """Make such a file a snapshot for a VNF; the snapshot's id."""
        return snapshots.bring(self.http, source, vnf)

    def delete_snapshot(self, id: str) -> None:
        """Delete a snapshot with its images."""
        self.http.send("DELETE", f"{SNAPSHOTS}/{id}")

    def discard(self, kind: str, id: str) -> None:
        """Remove a VNF (`kind` vnf), NS (ns) or application (app) with all that it has, in whatever state it is."""
        self.http.send("POST", f"{OWN}/{kind}s/{id}/discard", timeout=DISCARD_S)

    def start(self, kind: str, id: str, params: Mapping[str, Any]) -> str:
        """Start an operation (`vnf.scale` …) with the body of the ETSI request; returns the operation's id."""
        family, _, verb = kind.partition(".")
        base = f"{INSTANCES[family]}/{id}"
        path = f"{OWN}/apps/{id}/relocate" if kind == "app.relocate" else f"{base}/{VERBS.get(verb, verb)}"
        response = self.http.patch(base, params) if verb == "modify" else self.http.post(path, params)
        return response.headers["Location"].rpartition("/")[2]

    def plan(self, kind: str, id: str, params: Mapping[str, Any]) -> Plan:
        """What an operation would do."""
        body = {"kind": kind, "subject": id, "params": params}
        return msgspec.json.decode(self.http.post(f"{OWN}/plan", body).content, type=Plan)

    def draw(self, kind: str, id: str, params: Mapping[str, Any]) -> str:
        """What an operation would do, as an SVG picture."""
        body = msgspec.json.encode({"kind": kind, "subject": id, "params": params})
        headers = {"Content-Type": "application/json", "Accept": SVG}
        return self.http.send("POST", f"{OWN}/plan", content=body, headers=headers).text

    def exec(self, vnf_id: str, vnfc: str, argv: Sequence[str], stdin: str = "") -> ExecAnswer:
        """Run a command inside a VNFC."""
        body = {"argv": list(argv), "vnfc": vnfc, "stdin": stdin}
        return msgspec.json.decode(self.http.post(f"{OWN}/vnfs/{vnf_id}/exec", body).content, type=ExecAnswer)

    def stats(self, vnf_id: str, vnfc: str = "") -> ComputeStats:
        """Counters of a VNFC."""
        return self.http.get(f"{OWN}/vnfs/{vnf_id}/stats", ComputeStats, vnfc=vnfc)

    def logs(self, vnf_id: str, vnfc: str = "", *, follow: bool = False, tail: int | None = None) -> Iterator[LogLine]:
        """What a VNFC printed; with `follow` without end."""
        query = {"vnfc": vnfc, "tail": tail, "follow": "true" if follow else None}
        with self.http.stream(f"{OWN}/vnfs/{vnf_id}/logs", **query) as lines:
            for line in lines:
                if line:
                    yield msgspec.json.decode(line, type=LogLine)

    def alarms(self) -> list[Event]:
        """What was found broken and is not mended yet."""
        return self.http.get(f"{OWN}/alarms", list[Event])

    def rebuild_alarms(self) -> list[Event]:
        """The same, after the node has compared everything with the infrastructures."""
        return msgspec.json.decode(self.http.post(f"{OWN}/alarms/rebuild", {}).content, type=list[Event])

    # -- operations and events ------------------------------------------------------------------------------------------

    def operations(self, subject: str = "") -> list[Operation]:
        """Operations of all instances or of one."""
        return self.http.every(f"{OWN}/operations", Operation, subject=subject)

    def operation(self, id: str, *, wait_s: float = 0.0) -> OperationView:
        """An operation with its steps; with `wait_s` once it settles, or as it is then."""
        return self.http.get(f"{OWN}/operations/{id}", OperationView, wait=wait_s or None)

    def follow(self, id: str, *, every_s: float = 0.5) -> Iterator[OperationView]:
        """The operation again and again until it settles."""
        while True:
            view = self.operation(id, wait_s=every_s)
            yield view
            if view.operation.state in SETTLED:
                return

    def explain(self, id: str) -> Explanation:
        """Where an operation stands and why."""
        return self.http.get(f"{OWN}/operations/{id}/explanation", Explanation)

    def draw_operation(self, id: str) -> str:
        """The plan of an operation as an SVG picture."""
        return self.http.send("GET", f"{OWN}/operations/{id}/plan", headers={"Accept": SVG}).text

    def decide(self, id: str, verb: str, *, forceful: bool = False) -> None:
        """`retry`, `rollback`, `fail` or `cancel` an operation."""
        body = {"cancelMode": "FORCEFUL" if forceful else "GRACEFUL"} if verb == "cancel" else {}
        self.http.post(f"{OWN}/operations/{id}/{verb}", body)

    def events(
        self, since: int = 0, *, subject: str = "", operation: str = "", kind: str = "", last: int | None = None
    ) -> list[Event]:
        """Events over a number."""
        asked = {"since": since, "subject": subject, "operation": operation, "kind": kind, "last": last}
        return self.http.get(f"{OWN}/events", list[Event], **asked)

    def follow_events(
        self, since: int = 0, *, subject: str = "", operation: str = "", kind: str = "", last: int | None = None
    ) -> Iterator[Event]:
        """Events as they happen, without end."""
        query = {"since": since, "subject": subject, "operation": operation, "kind": kind, "last": last}
        with self.http.stream(f"{OWN}/events", **query, follow="true") as lines:
            for line in lines:
                if line.startswith("data: "):
                    yield msgspec.json.decode(line.removeprefix("data: "), type=Event)
