"""A VNF manager of somebody else, in a process of its own: SOL003 VNF life-cycle management written without Skerry.

`python stranger.py PORT NFVO [MAJOR]`. `GET /seen` tells what it was asked; `POST /moods` with `{"fail": TASK}` or
`{"slow": SECONDS}` how it behaves next.
"""

from __future__ import annotations

import json
import re
import sys
import threading
import time
import urllib.error
import urllib.request
import uuid
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

MAJOR = sys.argv[3] if len(sys.argv) > 3 else "2"
ROOT = f"/vnflcm/v{MAJOR}"
OPERATIONS = {"instantiate": "INSTANTIATE", "scale": "SCALE", "heal": "HEAL", "operate": "OPERATE"}
OPERATIONS |= {"terminate": "TERMINATE", "change_vnfpkg": "CHANGE_VNFPKG", "": "MODIFY_INFO"}


class Stranger:
    """Its VNFs and operations."""

    def __init__(self, port: int, nfvo: str) -> None:
        self.base = f"http://127.0.0.1:{port}{ROOT}"
        self.nfvo = nfvo
        self.vnfs: dict[str, dict[str, Any]] = {}
        self.occurrences: dict[str, dict[str, Any]] = {}
        self.seen: list[Any] = []
        self.moods: dict[str, Any] = {}

    def create(self, body: dict[str, Any]) -> dict[str, Any]:
        id = str(uuid.uuid4())
        self.vnfs[id] = {
            "id": id,
            "vnfProvider": "Stranger",
            "vnfProductName": "box",
            "vnfSoftwareVersion": "1",
            "vnfdVersion": "1",
            "instantiationState": "NOT_INSTANTIATED",
            **body,
            "_links": {"self": {"href": f"{self.base}/vnf_instances/{id}"}},
        }
        return self.vnfs[id]

    def begin(self, vnf: dict[str, Any], task: str, request: dict[str, Any]) -> str:
        id = str(uuid.uuid4())
        now = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        self.occurrences[id] = {
            "id": id,
            "operationState": "PROCESSING",
            "stateEnteredTime": now,
            "startTime": now,
            "vnfInstanceId": vnf["id"],
            "operation": OPERATIONS[task],
            "isAutomaticInvocation": False,
            "isCancelPending": False,
            "operationParams": {**request, "words": "x" * 70_000},
            "_links": {"self": {"href": f"{self.base}/vnf_lcm_op_occs/{id}"}, "vnfInstance": vnf["_links"]["self"]},
        }
        self.work(id, task, request)
        return id

    def work(self, id: str, task: str, request: dict[str, Any]) -> None:
        threading.Thread(target=self.run, args=(self.occurrences[id], task, request), daemon=True).start()

    def run(self, occurrence: dict[str, Any], task: str, request: dict[str, Any]) -> None:
        time.sleep(float(self.moods.pop("slow", 0)))
        if occurrence["operationState"] == "FAILED_TEMP":  # it was cancelled
            return
        if self.moods.get("fail") == (task or "modify"):
            self.moods.pop("fail")
            occurrence |= {"error": {"status": 500, "detail": "out of luck"}, "operationState": "FAILED_TEMP"}
            return
        try:
            self.do(occurrence, task, request)
        except urllib.error.HTTPError as error:
            detail = json.loads(error.read()).get("detail", "no grant")
            occurrence |= {"error": {"status": 500, "detail": detail}, "operationState": "FAILED_TEMP"}
            return
        occurrence.pop("error", None)
        occurrence["operationState"] = "COMPLETED"

    def do(self, occurrence: dict[str, Any], task: str, request: dict[str, Any]) -> None:
        vnf = self.vnfs[occurrence["vnfInstanceId"]]
        if task == "instantiate":
            grant = self.grant(occurrence, vnf, request)
            (place,) = grant["addResources"]
            vnf["instantiatedVnfInfo"] = self.info(request, place["vimConnectionId"])
            vnf["vimConnectionInfo"] = grant["vimConnectionInfo" if MAJOR == "2" else "vimConnections"]
            (point,) = request["extVirtualLinks"][0]["extCps"]
            assert isinstance(point["cpConfig"], dict if MAJOR == "2" else list)
            vnf["instantiationState"] = "INSTANTIATED"
        elif task == "terminate":
            vnf.pop("instantiatedVnfInfo")
            vnf["instantiationState"] = "NOT_INSTANTIATED"
        elif task == "scale":
            level = vnf["instantiatedVnfInfo"]["scaleStatus"][0]
            level["scaleLevel"] += 1 if request["type"] == "SCALE_OUT" else -1
        elif task == "change_vnfpkg":
            vnf["vnfdId"] = request["vnfdId"]
        elif task == "operate":
            vnf["instantiatedVnfInfo"]["vnfState"] = request["changeStateTo"]
        elif task == "":
            vnf |= request

    @staticmethod
    def info(request: dict[str, Any], vim: str) -> dict[str, Any]:
        ip = {"type": "IPV4", "addresses": ["10.70.0.77"]}
        over = {"macAddress": "02:00:00:00:00:77", "ipAddresses": [ip]}
        protocol = [{"layerProtocol": "IP_OVER_ETHERNET", "ipOverEthernet": over}]
        (point,) = request["extVirtualLinks"][0]["extCps"]
        return {
            "flavourId": request["flavourId"],
            "vnfState": "STARTED",
            "scaleStatus": [{"aspectId": "more", "scaleLevel": 0}],
            "maxScaleLevels": [{"aspectId": "more", "scaleLevel": 2}],
            "extCpInfo": [
                {
                    "id": "x",
                    "cpdId": point["cpdId"],
                    "cpConfigId": "c",
                    "cpProtocolInfo": protocol,
                    "associatedVnfcCpId": "y",
                }
            ],
            "vnfcResourceInfo": [
                {"id": "their-box", "vduId": "box", "computeResource": {"vimConnectionId": vim, "resourceId": "r-1"}}
            ],
        }

    def grant(self, occurrence: dict[str, Any], vnf: dict[str, Any], request: dict[str, Any]) -> dict[str, Any]:
        links = {"vnfLcmOpOcc": occurrence["_links"]["self"], "vnfInstance": vnf["_links"]["self"]}
        asked = {
            "vnfInstanceId": vnf["id"],
            "vnfLcmOpOccId": occurrence["id"],
            "vnfdId": vnf["vnfdId"],
            "flavourId": request["flavourId"],
            "operation": "INSTANTIATE",
            "isAutomaticInvocation": False,
            "addResources": [{"id": "1", "type": "COMPUTE", "vduId": "box", "resourceTemplateId": "box"}],
            "_links": links,
        }
        headers = {"Version": "1.4.0", "Content-Type": "application/json", "Accept": "application/json"}
        call = urllib.request.Request(f"{self.nfvo}/grant/v1/grants", json.dumps(asked).encode(), headers)  # noqa: S310 - of the test itself
        with urllib.request.urlopen(call, timeout=30) as answer:  # noqa: S310 - as above
            return dict(json.loads(answer.read()))


class Handler(BaseHTTPRequestHandler):
    """The wire."""

    stranger: Stranger
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: Any) -> None:
        """Say nothing."""

    def reply(self, status: int, body: Any = None, location: str = "", link: str = "") -> None:
        raw = b"" if body is None else json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Version", f"{MAJOR}.0.0")
        if location:
            self.send_header("Location", location)
        if link:
            self.send_header("Link", link)
        if raw:
            self.send_header("Content-Type", "application/json")
        if status != 204:
            self.send_header("Content-Length", str(len(raw)))
        self.end_headers()
        self.wfile.write(raw)

    def body(self) -> Any:
        raw = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        return json.loads(raw) if raw else {}

    def serve(self) -> None:
        me, parts = self.stranger, urlsplit(self.path)
        body = self.body()
        if parts.path == "/seen":
            return self.reply(200, {"asked": me.seen, "vnfs": list(me.vnfs.values())})
        if parts.path == "/vnflcm/api_versions":
            return self.reply(200, {"uriPrefix": "/vnflcm", "apiVersions": [{"version": f"{MAJOR}.0.0"}]})
        if parts.path == "/moods":
            me.moods |= body
            return self.reply(204)
        if self.command != "GET":
            me.seen.append([self.command, parts.path.removeprefix(ROOT), body])
        kind, _, rest = parts.path.removeprefix(ROOT + "/").partition("/")
        id, _, task = rest.partition("/")
        known = me.vnfs if kind == "vnf_instances" else me.occurrences
        if id and id not in known:
            return self.reply(404, {"status": 404, "detail": "no such thing"})
        if self.command == "GET" and id:
            return self.reply(200, known[id])
        if self.command == "GET":
            return self.page(self.listed(known, parts.query), parts.query)
        return self.change(kind, id, task, body)

    def page(self, found: list[Any], query: str) -> None:
        """One entry on each page."""
        at = int(parse_qs(query).get("page", ["0"])[0])
        rest = "&".join(part for part in query.split("&") if not part.startswith("page="))
        more = f"{urlsplit(self.path).path}?{rest}&page={at + 1}" if len(found) > at + 1 else ""
        return self.reply(200, found[at : at + 1], link=f'<http://elsewhere.example{more}>; rel="next"' if more else "")

    @staticmethod
    def listed(known: dict[str, dict[str, Any]], query: str) -> list[Any]:
        match = re.fullmatch(r"\(eq,([\w/]+),([^)]+)\)", parse_qs(query).get("filter", [""])[0])
        if not match:
            return list(known.values())

        def value(one: Any, path: str) -> Any:
            for name in path.split("/"):
                one = one.get(name, {})
            return one

        return [one for one in known.values() if value(one, match[1]) == match[2]]

    def change(self, kind: str, id: str, task: str, body: Any) -> None:
        me = self.stranger
        if kind == "vnf_instances" and not id:
            made = me.create(body)
            return self.reply(201, made, made["_links"]["self"]["href"])
        if kind == "vnf_instances" and self.command == "DELETE":
            del me.vnfs[id]
            return self.reply(204)
        if kind == "vnf_instances":
            begun = me.begin(me.vnfs[id], task, body)
            return self.reply(202, location=me.occurrences[begun]["_links"]["self"]["href"])
        occurrence = me.occurrences[id]
        if task == "cancel" and occurrence["operationState"] == "PROCESSING":
            occurrence["operationState"] = "FAILED_TEMP"
            return self.reply(202)
        if occurrence["operationState"] != "FAILED_TEMP":
            return self.reply(409, {"status": 409, "detail": f"it is {occurrence['operationState']}"})
        if task == "fail":
            occurrence["operationState"] = "FAILED"
            return self.reply(200, occurrence)
        occurrence["operationState"] = "ROLLED_BACK" if task == "rollback" else "PROCESSING"
        if task == "retry":
            name = next(name for name, word in OPERATIONS.items() if word == occurrence["operation"])
            me.work(id, name, occurrence["operationParams"])
        return self.reply(202)

    do_GET = do_POST = do_PATCH = do_DELETE = serve  # noqa: N815 - names of the standard library


def main() -> None:
    """Serve until the process ends."""
    port, nfvo = int(sys.argv[1]), sys.argv[2]
    Handler.stranger = Stranger(port, nfvo)
    with ThreadingHTTPServer(("127.0.0.1", port), Handler) as server:
        sys.stdout.write("ready\n")
        sys.stdout.flush()
        server.serve_forever()


if __name__ == "__main__":
    main()
