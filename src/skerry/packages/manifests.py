"""Kubernetes manifests, as `helm template` prints them, to the template of a VNF package.

What is read, and what becomes of it; any other kind or field is refused with its line, unless it is empty:

| Manifest | VNFD |
|---|---|
| Deployment (apps/v1), one container | a VDU with `replicas` instances on the internal network `pod_network` |
| `command`, `args`, `env`, `envFrom`, limits and requests of the container | command, environment, limits |
| `ports` of the container | names for `targetPort`; every port can be reached anyway |
| Service (v1) of type ClusterIP | its name as an alias of the instances; an external connection point `NAME_service` |
| Service of type NodePort | as ClusterIP; each `nodePort` is a published port of the host |
| ConfigMap (v1) | values for `configMapKeyRef` and `configMapRef` |

A Service is a name and no balancer: its name means the instances themselves, at their target port. Containers of a pod share
an address, which VDUs do not, so that a pod has exactly one.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping

import msgspec

from skerry.errors import Fault
from skerry.packages.cursor import Cursor
from skerry.packages.functions import is_function
from skerry.packages.limits import Limits
from skerry.packages.manifest_vnfd import Box, vnfd
from skerry.packages.quantities import quantity
from skerry.packages.report import Report
from skerry.packages.yaml_nodes import Budget, parse

_LABEL = re.compile(r"[a-z]([-a-z0-9]{0,61}[a-z0-9])?")
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]*")
_REFERENCE = re.compile(r"\$\$|\$\(([A-Za-z_][A-Za-z0-9_.-]*)\)")
_KINDS = {"Deployment": "apps/v1", "Service": "v1", "ConfigMap": "v1"}
_POD = ("containers", "restartPolicy", "terminationGracePeriodSeconds")
_CONTAINER = ("name", "image", "imagePullPolicy", "command", "args", "env", "envFrom", "ports", "resources")
_PORT = ("name", "port", "targetPort", "protocol", "nodePort", "appProtocol")
_MOST_REPLICAS = 1000
_MOST_PORTS = 65535


class Imported(msgspec.Struct, frozen=True):
    """A template made of manifests: its text, the name of its product, and what is told about it."""

    name: str
    template: str
    notes: tuple[Fault, ...]


def read_manifests(
    data: bytes, file: str, *, images: Mapping[str, str] | None = None, limits: Limits | None = None
) -> Imported:
    """The VNFD of manifests. `images` are sources (`host:…`, `docker://…`) for images by their name in the manifests; the
    others are fetched from their registry. Raises `InvalidError` with every fault."""
    limits = limits or Limits()
    report = Report(limit=limits.max_faults)
    documents, faults = parse(data, file, Budget(limits), several=True)
    report.extend(faults)
    report.documents[file] = documents
    report.raise_errors(file)
    chart = _Chart(dict(images or {}), report)
    chart.read([Cursor(item, file, (index,), report) for index, item in enumerate(documents)])
    if not chart.boxes:
        report.error("no-deployment", "cannot find a Deployment", file=file, fix="give the output of `helm template`")
    for name in chart.images.keys() - chart.used:
        report.error("unknown-image", f"cannot map {name}: no container has this image", file=file)
    report.raise_errors(file)
    name, version = chart.title
    return Imported(name, vnfd(name, version, list(chart.boxes.values())), tuple(report.warnings))


def _only(here: Cursor, known: tuple[str, ...]) -> None:
    for key, entry in here.entries().items():
        if key not in known and entry.value not in (None, {}, [], "", False):
            entry.error("unknown-field", f"cannot do what {key} says", "remove it, or set it empty in the values")


def _labels(here: Cursor) -> dict[str, str]:
    return {key: entry.text() for key, entry in here.entries().items()}


def _expanded(text: str, env: Mapping[str, str]) -> str:
    """`$(NAME)` of a known variable is its value and `$$` is `$`, as in Kubernetes; the rest stays."""
    return _REFERENCE.sub(lambda m: env.get(m[1], m[0]) if m[1] else "$", text)


class _Chart:
    """What was read so far. Every document is read once, those that others refer to first."""

    def __init__(self, images: dict[str, str], report: Report) -> None:
        self.images = images
        self.report = report
        self.used: set[str] = set()
        self.boxes: dict[str, Box] = {}
        self.maps: dict[str, dict[str, str]] = {}
        self.node_ports: set[int] = set()
        self.title = ("", "1")

    def read(self, documents: list[Cursor]) -> None:
        of: dict[str, list[Cursor]] = {kind: [] for kind in _KINDS}
        for here in documents:
            kind, version = here.at("kind").text(), here.at("apiVersion").text()
            if here.at("metadata", "annotations", "helm.sh/hook").text() in ("test", "test-success"):
                here.warning("test-hook", f"the {kind} is a test of the chart and left out")
            elif _KINDS.get(kind) != version:
                place = here.at("kind") if kind else here
                place.error("unknown-kind", f"cannot deploy {version} {kind}".strip(), "leave it out of the chart")
            else:
                of[kind].append(here)
        for here in of["ConfigMap"]:
            _only(here, ("apiVersion", "kind", "metadata", "data", "immutable"))
            self.maps[self._name(here)] = _labels(here.at("data"))
        for here in of["Deployment"]:
            self._deployment(here)
        for here in of["Service"]:
            self._service(here)

    def _name(self, here: Cursor) -> str:
        entry = here.at("metadata", "name")
        name = entry.required_text("the name")
        if name and not _LABEL.fullmatch(name):
            entry.error("bad-name", f"cannot use the name {name[:80]!r}", "use small letters, digits and -, at most 63")
        return name

    def _deployment(self, here: Cursor) -> None:
        _only(here, ("apiVersion", "kind", "metadata", "spec"))
        name, spec = self._name(here), here.at("spec")
        _only(spec, ("replicas", "selector", "template", "revisionHistoryLimit", "progressDeadlineSeconds"))
        if name in self.boxes:
            here.at("metadata", "name").error("same-name", f"cannot have two Deployments {name}", "rename one")
        replicas = spec.at("replicas").integer(1, 1)
        if replicas > _MOST_REPLICAS:
            spec.at("replicas").wrong(f"a whole number up to {_MOST_REPLICAS}")
        template = spec.at("template")
        labels = _labels(template.at("metadata", "labels"))
        _only(spec.at("selector"), ("matchLabels",))
        if not _labels(spec.at("selector", "matchLabels")).items() <= labels.items():
            spec.at("selector").error("selector", "cannot match the selector", "give the template the same labels")
        box = Box(name=name, replicas=replicas, labels=labels)
        self._pod(template.at("spec"), box)
        self.boxes[name] = box
        if not self.title[0]:
            shared = _labels(here.at("metadata", "labels"))
            release = shared.get("app.kubernetes.io/instance", "")
            chosen = release if _LABEL.fullmatch(release) else name
            self.title = (chosen, shared.get("app.kubernetes.io/version") or "1")

    def _pod(self, pod: Cursor, box: Box) -> None:
        _only(pod, _POD)
        if pod.at("restartPolicy").text("Always") != "Always":
            pod.at("restartPolicy").wrong("Always")
        if pod.at("terminationGracePeriodSeconds").exists:
            box.grace_s = pod.at("terminationGracePeriodSeconds").integer()
        containers = pod.at("containers").items()
        if len(containers) != 1:
            pod.at("containers").error(
                "containers-of-pod",
                f"cannot make one VDU of a pod with {len(containers)} containers",
                "give each container a Deployment of its own",
            )
        for container in containers:
            self._container(container, box)

    def _container(self, here: Cursor, box: Box) -> None:
        _only(here, _CONTAINER)
        box.image = here.at("image").required_text("the image")
        box.source = self.images.get(box.image) or f"docker://{box.image}"
        self.used.add(box.image)
        self._environment(here, box)
        command = [_expanded(item.text(), box.env) for item in here.at("command").items()]
        arguments = [_expanded(item.text(), box.env) for item in here.at("args").items()]
        if arguments and not command:
            here.at("args").error(
                "args-alone", "cannot tell the program that these args are for", "set `command:` beside `args:`"
            )
        box.command = [*command, *arguments]
        for port in here.at("ports").items():
            _only(port, ("name", "containerPort", "protocol"))
            number, protocol = _port(port.at("containerPort")), _protocol(port)
            box.ports[f"{number}/{protocol}"] = port.at("name").text()
        resources = here.at("resources")
        _only(resources, ("limits", "requests"))
        box.cpu, box.memory = _amounts(resources.at("limits"))
        box.requested_cpu, box.requested_memory = _amounts(resources.at("requests"))

    def _environment(self, here: Cursor, box: Box) -> None:
        for entry in here.at("envFrom").items():
            _only(entry, ("configMapRef",))
            box.env |= self._map(entry.at("configMapRef"))
        for entry in here.at("env").items():
            _only(entry, ("name", "value", "valueFrom"))
            name = entry.at("name").required_text("the name of the variable")
            _only(entry.at("valueFrom"), ("configMapKeyRef",))
            reference = entry.at("valueFrom", "configMapKeyRef")
            value = _expanded(entry.at("value").text(), box.env)
            if reference.exists:
                value = self._value(reference)
            box.env[name] = value
        if is_function(box.env) or any(not _VARIABLE.fullmatch(name) for name in box.env):
            here.at("env").error("bad-environment", "cannot set variables of such names", "use capitals, digits and _")

    def _map(self, reference: Cursor) -> dict[str, str]:
        _only(reference, ("name",))
        return self._found(reference)

    def _value(self, reference: Cursor) -> str:
        _only(reference, ("name", "key"))
        found, key = self._found(reference), reference.at("key").required_text("the key")
        if found and key not in found:
            reference.at("key").error("unknown-key", f"cannot find {key} in the ConfigMap", "add it to its data")
        return found.get(key, "")

    def _found(self, reference: Cursor) -> dict[str, str]:
        name = reference.at("name").required_text("the name of the ConfigMap")
        if name and name not in self.maps:
            reference.at("name").error("unknown-map", f"cannot find the ConfigMap {name}", "add it to the chart")
        return self.maps.get(name, {})

    def _service(self, here: Cursor) -> None:
        _only(here, ("apiVersion", "kind", "metadata", "spec"))
        name, spec = self._name(here), here.at("spec")
        _only(spec, ("type", "selector", "ports"))
        kind = spec.at("type").text("ClusterIP")
        if kind not in ("ClusterIP", "NodePort"):
            spec.at("type").error("service-type", f"cannot make a Service of type {kind}", "use ClusterIP or NodePort")
        wanted = _labels(spec.at("selector"))
        chosen = [box for box in self.boxes.values() if wanted and wanted.items() <= box.labels.items()]
        if len(chosen) != 1:
            place = spec.at("selector") if wanted else spec
            place.error("selector", f"cannot serve {len(chosen)} Deployments by {name}", "select exactly one")
        ports = spec.at("ports").items()
        for box in chosen[:1]:
            box.aliases.append(name)
            for port in ports:
                self._service_port(port, box, name, node=kind == "NodePort")

    def _service_port(self, here: Cursor, box: Box, service: str, *, node: bool) -> None:
        _only(here, _PORT)
        port, protocol = _port(here.at("port")), _protocol(here)
        target = self._target(here, box, port)
        if target != port:
            here.warning("target-port", f"{service} answers at port {target}, and not at {port}: a name maps no ports")
        if not here.at("nodePort").exists:
            if node:
                here.warning("node-port", f"port {port} of {service} is not published: it names no nodePort")
            return
        if not node:
            here.at("nodePort").error("node-port", "cannot publish a port of a ClusterIP", "set `type: NodePort`")
        elif box.replicas > 1:
            here.at("nodePort").error(
                "node-port",
                f"cannot publish one port of the host for {box.replicas} instances",
                "set `replicas: 1`, or use a ClusterIP",
            )
        number = _port(here.at("nodePort"))
        if number in self.node_ports:
            here.at("nodePort").error("node-port", f"cannot publish port {number} twice", "choose another port")
        self.node_ports.add(number)
        box.published[str(number)] = f"{target}/{protocol}"

    def _target(self, here: Cursor, box: Box, port: int) -> int:
        entry = here.at("targetPort")
        if not entry.exists:
            return port
        for known, name in box.ports.items():
            if name and name == entry.value:
                return int(known.partition("/")[0])
        return _port(entry)


def _port(here: Cursor) -> int:
    if not here.exists:
        here.required_text("the number of the port")
        return 1
    number = here.integer(1, 1)
    if number > _MOST_PORTS:
        here.wrong(f"a port up to {_MOST_PORTS}")
    return number


def _protocol(here: Cursor) -> str:
    name = here.at("protocol").text("TCP")
    if name not in ("TCP", "UDP", "SCTP"):
        here.at("protocol").wrong("TCP, UDP or SCTP")
    return name.lower()


def _amounts(here: Cursor) -> tuple[int, int]:
    """CPU in milli-CPU and memory in bytes, rounded up; 0 where none is given."""
    _only(here, ("cpu", "memory"))
    found: list[int] = []
    for key, factor in (("cpu", 1000), ("memory", 1)):
        entry = here.at(key)
        amount = quantity(entry.text()) if entry.exists else None
        if entry.exists and amount is None:
            entry.wrong("a quantity such as 250m, 0.5 or 64Mi")
        found.append(math.ceil((amount or 0) * factor))
    return found[0], found[1]
