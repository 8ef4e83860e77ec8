"""What a chart prints runs: its instances answer over HTTP, by the name of the service and at the port of the host."""

from __future__ import annotations

import asyncio
import random
import socket
from pathlib import Path

import httpx
import pytest
from click.testing import CliRunner

from skerry.cli import root
from tests.real.conftest import Plant

pytestmark = pytest.mark.real

DEPLOYMENT = """\
---
# Source: shop/templates/%(name)s.yaml
apiVersion: apps/v1
kind: Deployment
metadata:
  name: %(name)s
spec:
  replicas: %(replicas)d
  selector: { matchLabels: { app: %(name)s } }
  template:
    metadata: { labels: { app: %(name)s } }
    spec:
      terminationGracePeriodSeconds: 0
      containers:
        - name: %(name)s
          image: "busybox:1.36"
          command: [ /bin/sh, -c ]
          args:
            - mkdir -p /tmp/www && echo "$(WORD) from $$(hostname)" > /tmp/www/index.html && exec httpd -f -p 8080 -h /tmp/www
          env: [ { name: WORD, value: "moin" } ]
          ports: [ { name: http, containerPort: 8080 } ]
          resources: { limits: { cpu: 250m, memory: 64Mi } }
---
# Source: shop/templates/%(name)s-service.yaml
apiVersion: v1
kind: Service
metadata: { name: %(name)s-svc }
spec:
  type: %(type)s
  selector: { app: %(name)s }
  ports: [ { port: 8080, targetPort: http%(node)s } ]
"""


def free_port() -> int:
    """A port that charts may ask for and that nothing listens on now."""
    while True:
        number = random.randrange(30000, 32768)
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", number)):
                return number


async def fetched(url: str) -> str:
    """The answer, once there is one: the program begins to listen a while after its container runs."""
    async with asyncio.timeout(30), httpx.AsyncClient(trust_env=False) as client:
        while True:
            try:
                answer = await client.get(url)
            except httpx.TransportError:
                await asyncio.sleep(0.05)
                continue
            answer.raise_for_status()
            return answer.text


@pytest.mark.feature("B51")
@pytest.mark.parametrize("real_rig", ["LOCAL"], ids=["local"], indirect=True)  # publishes where this test can reach it
async def test_a_chart_answers(plant: Plant, tmp_path: Path) -> None:
    port = free_port()
    web = {"name": "web", "replicas": 2, "type": "ClusterIP", "node": ""}
    front = {"name": "front", "replicas": 1, "type": "NodePort", "node": f", nodePort: {port}"}
    manifest = tmp_path / "chart.yaml"
    manifest.write_text(DEPLOYMENT % web + DEPLOYMENT % front)
    given = ["package", "import", manifest, "--to", tmp_path / "shop", "--image", "busybox:1.36=host:busybox"]
    done = CliRunner().invoke(root, [str(each) for each in given])
    assert done.exit_code == 0, done.output
    vnf = await plant.node.vnfm.create(await plant.onboard(tmp_path / "shop"), name="shop")
    await plant.run("vnf.instantiate", vnf.id, {"flavourId": "default"})
    vnf = plant.node.vnfm.instance(vnf.id)
    assert vnf.vnfcs == {"web": ("web-0", "web-1"), "front": ("front-0",)}
    assert await fetched(f"http://127.0.0.1:{port}/") == "moin from front-0\n"
    ask = r"printf 'GET / HTTP/1.0\r\n\r\n' | nc -w 5 {} 8080 | tail -n 1 | grep from"
    get = f"n=0; until {ask}; do n=$((n+1)); [ $n -lt 100 ] || exit 1; sleep 0.1; done"
    for name in ("web-0", "web-1"):
        address = vnf.resources[f"compute:{name}"].outputs["nics"][0]["ip"]
        assert await plant.sh(vnf, "front-0", get.format(address)) == f"moin from {name}"
    assert await plant.sh(vnf, "front-0", get.format("web-svc")) in ("moin from web-0", "moin from web-1")
    limits = await plant.rig.limits(await plant.driver(), vnf.resources["compute:web-1"].spec["name"])
    assert (limits.memory_bytes, limits.vcpus) == (64 << 20, 0.25)
    await plant.run("vnf.terminate", vnf.id, {"terminationType": "FORCEFUL"})
    await plant.node.vnfm.delete(vnf.id)
