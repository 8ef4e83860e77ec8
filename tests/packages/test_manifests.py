"""Kubernetes manifests, as charts give them, become packages; what cannot be done is refused with its line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from skerry.cli import root
from skerry.errors import InvalidError
from skerry.model.descriptors import Vdu, VnfPackage
from skerry.packages import build, lint, read, read_manifests
from skerry.packages.quantities import quantity

pytestmark = pytest.mark.feature("B51")

TEXTS = """\
---
# Source: shop/templates/texts.yaml
apiVersion: v1
kind: ConfigMap
metadata: { name: texts }
data:
  greeting: moin
  LATE: "yes"
"""
WEB = """\
---
# Source: shop/templates/deployment.yaml
apiVersion: apps/v1
kind: Deployment
metadata:
  name: web
  labels: { app.kubernetes.io/instance: shop, app.kubernetes.io/version: "1.10" }
spec:
  replicas: 2
  selector:
    matchLabels: { app: web }
  template:
    metadata:
      labels: { app: web, tier: front }
    spec:
      securityContext: {}
      containers:
        - name: web
          image: "registry.example.org/busybox:1.36"
          imagePullPolicy: IfNotPresent
          command: [ /bin/sh, -c ]
          args: [ "echo $(WORD) $(UNKNOWN) $$HOME" ]
          envFrom: [ { configMapRef: { name: texts } } ]
          env:
            - name: WORD
              valueFrom: { configMapKeyRef: { name: texts, key: greeting } }
            - { name: TRICKY, value: "{ get_input: x } # 'y'\\n1e3" }
          ports: [ { name: http, containerPort: 8080, protocol: TCP } ]
          resources:
            limits: { cpu: 250m, memory: 64Mi }
            requests: { cpu: 100m }
"""
SERVICE = """\
---
# Source: shop/templates/service.yaml
apiVersion: v1
kind: Service
metadata: { name: shop }
spec:
  type: ClusterIP
  selector: { app: web }
  ports: [ { port: 80, targetPort: http, name: http } ]
"""
SINGLE = WEB.replace("replicas: 2", "replicas: 1")
NODE_PORT = SERVICE.replace("ClusterIP", "NodePort").replace("port: 80,", "port: 8080, nodePort: 30080,")


def faults(text: str, **given: Any) -> list[tuple[str, int]]:
    with pytest.raises(InvalidError) as caught:
        read_manifests(text.encode(), "chart.yaml", **given)
    assert all(fault.file == "chart.yaml" for fault in caught.value.faults)
    return [(fault.code, fault.line) for fault in caught.value.faults]


def line(text: str, part: str) -> int:
    """The number of the line that holds `part`."""
    return text[: text.index(part)].count("\n") + 1


def vdu(text: str, folder: Path) -> Vdu:
    (folder / "Definitions").mkdir(parents=True)
    (folder / "Definitions" / "it.yaml").write_text(read_manifests(text.encode(), "chart.yaml").template)
    errors, warnings, package = lint(folder)
    assert (errors, warnings) == ([], [])
    assert isinstance(package, VnfPackage)
    return package.vnfd.flavours["default"].vdus["web"]


def test_a_deployment_becomes_a_vdu(tmp_path: Path) -> None:
    found = vdu(SERVICE + WEB + TEXTS, tmp_path)
    assert found.image is not None
    assert found.image.source == "docker://registry.example.org/busybox:1.36"
    assert found.command == ("/bin/sh", "-c", "echo moin $(UNKNOWN) $HOME")
    assert found.env == {"greeting": "moin", "LATE": "yes", "WORD": "moin", "TRICKY": "{ get_input: x } # 'y'\n1e3"}
    assert (found.vcpus, found.memory_bytes) == (0.25, 64 << 20)
    assert (found.min_instances, found.max_instances) == (2, 2)
    assert found.ports == ()
    assert found.aliases == ("shop",)
    assert found.cps == ("web_pod", "web_service")
    assert found.restart


def test_a_node_port_is_published(tmp_path: Path) -> None:
    found = vdu(TEXTS + SINGLE + NODE_PORT, tmp_path)
    assert found.ports == ({"host": 30080, "instance": 8080, "protocol": "tcp"},)


def test_what_a_service_cannot_do_is_told() -> None:
    notes = read_manifests((TEXTS + WEB + SERVICE).encode(), "chart.yaml").notes
    assert [(note.code, note.line) for note in notes] == [("target-port", line(TEXTS + WEB + SERVICE, "port: 80,"))]
    hook = SERVICE.replace("{ name: shop }", "{ name: shop-test, annotations: { helm.sh/hook: test } }")
    notes = read_manifests((TEXTS + WEB + hook).encode(), "chart.yaml").notes
    assert [note.code for note in notes] == ["test-hook"]


def test_the_same_manifests_are_the_same_package() -> None:
    first, again, other = (read_manifests((TEXTS + each).encode(), "chart.yaml") for each in (WEB, WEB, SINGLE))
    assert first.template == again.template
    assert first.template.splitlines()[10] != other.template.splitlines()[10]  # descriptor_id


def test_all_faults_at_once_with_their_lines() -> None:
    text = (
        TEXTS
        + WEB.replace("securityContext: {}", "hostNetwork: true").replace("64Mi", "64 MB").replace("key: greeting", "key: no")
        + SERVICE.replace("ClusterIP", "LoadBalancer").replace("app: web", "app: none")
        + "---\napiVersion: batch/v1\nkind: Job\nmetadata: { name: late }\n"
    )  # fmt: skip
    assert sorted(faults(text, images={"nobody": "host:true"}), key=lambda each: each[1]) == [
        ("unknown-image", 1),
        ("unknown-field", line(text, "hostNetwork")),
        ("unknown-key", line(text, "key: no")),
        ("wrong-type", line(text, "64 MB")),
        ("service-type", line(text, "LoadBalancer")),
        ("selector", line(text, "app: none")),
        ("unknown-kind", line(text, "kind: Job")),
    ]


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("", "no-deployment"),
        ("- 1\n", "wrong-type"),
        (WEB, "unknown-map"),
        (TEXTS + WEB + WEB, "same-name"),
        (TEXTS + WEB + NODE_PORT, "node-port"),
        (TEXTS + SINGLE + NODE_PORT + NODE_PORT.replace("name: shop", "name: two"), "node-port"),
        (TEXTS + WEB.replace("replicas: 2", "replicas: 0"), "wrong-type"),
        (TEXTS + WEB.replace("replicas: 2", "replicas: 100000000"), "wrong-type"),
        (TEXTS + WEB.replace("command:", "tty: true #"), "args-alone"),
        (TEXTS + WEB.replace("  name: web\n", "  name: Web_1\n", 1), "bad-name"),
        (TEXTS + WEB.replace("name: WORD", "name: A=B"), "bad-environment"),
        (TEXTS + WEB.replace("8080", "80800"), "wrong-type"),
        (TEXTS + WEB.replace("matchLabels: { app: web }", "matchLabels: { app: other }"), "selector"),
        (TEXTS + WEB.replace("        - name: web\n", "        - { name: side, image: side }\n        - name: web\n"),
         "containers-of-pod"),
        (TEXTS + WEB + "---\nkind: [\n", "yaml-syntax"),
        ("a: &a [x, x]\n---\nb: *a\n", "unknown-alias"),
        ("a: &a [1, 1]\n" + "".join(f"{k}: &{k} [*{p}, *{p}]\n" for p, k in zip("abcdefghijklmnopqr", "bcdefghijklmnopqrs",
                                                                               strict=True)), "too-many-nodes"),
    ],
)  # fmt: skip
def test_refused(text: str, code: str) -> None:
    assert code in [found for found, _ in faults(text)]


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("1", 1), ("0.5", 0.5), (".5", 0.5), ("250m", 0.25), ("1e3", 1000), ("2E-3", 0.002), ("1E", 10**18), ("64Mi", 64 << 20),
        ("1.5Gi", 3 << 29), ("128M", 128_000_000), ("3k", 3000), ("5u", 5e-6),
        ("", None), ("-1", None), ("1 Mi", None), ("64MB", None), ("1K", None), ("m", None), ("1e999", None), ("9Ei", None),
        ("1" * 41, None), ("0x10", None), ("nan", None),
    ],
)  # fmt: skip
def test_quantities(text: str, number: float | None) -> None:
    found = quantity(text)
    assert (None if found is None else float(found)) == number


def run(*arguments: object, code: int = 0, given: str = "") -> str:
    result = CliRunner().invoke(root, [str(each) for each in arguments], prog_name="skerry", input=given)
    assert result.exit_code == code, result.output
    return result.output


def test_the_command(tmp_path: Path) -> None:
    image = "registry.example.org/busybox:1.36=host:busybox"
    manifest = tmp_path / "chart.yaml"
    manifest.write_text(TEXTS + WEB + SERVICE)
    told = run("package", "import", manifest, "--to", tmp_path / "shop", "--image", image)
    assert f"note: chart.yaml:{line(TEXTS + WEB + SERVICE, 'port: 80,')}:" in told
    package = read(build(tmp_path / "shop", tmp_path / "shop.csar"))
    assert isinstance(package, VnfPackage)
    assert (package.vnfd.product_name, package.vnfd.software_version) == ("shop", "1.10")
    chosen = package.vnfd.flavours["default"].vdus["web"].image
    assert chosen is not None
    assert chosen.source == "host:busybox"
    run("package", "import", manifest, "--to", tmp_path / "shop", code=4)
    run("package", "import", manifest, "--to", tmp_path / "bad", "--image", "busybox", code=2)
    run("package", "import", "-", "--to", tmp_path / "bad", given=WEB, code=5)
    assert not (tmp_path / "bad").exists()
    piped = run("package", "import", "-", "--to", tmp_path / "piped", "--json", given=TEXTS + SINGLE)
    assert json.loads(piped)["file"] == str(tmp_path / "piped")
