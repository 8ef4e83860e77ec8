"""The harness of the API's benchmark, with few VNFs: what it measures is there, and lists come whole."""

from __future__ import annotations

from pathlib import Path

from benchmarks import api
from skerry.packages import build

ROWS = 1100


async def test_lists_of_copies_are_whole(tmp_path: Path) -> None:
    served = api.Served(tmp_path)
    csar = build(api.EXAMPLE, tmp_path / "server.csar")
    with served.up() as (_, client):
        id = api.instantiated(client, csar)
        assert await api.rate(client, f"{api.VNFS}/{id}", 50) > 0
    await api.multiplied(tmp_path, id, ROWS)
    with served.up() as (_, client):
        seen: list[str] = []
        page = api.VNFS
        while page:
            answer = client.get(page)
            seen += [vnf["id"] for vnf in answer.json()]
            page = answer.links.get("next", {}).get("url", "")
        assert len(seen) == len(set(seen)) == ROWS
        some = sum("77" in f"vnf-{number}" for number in range(ROWS - 1)) - 1
        for path, found in zip(api.LISTS[1:3], (0, some), strict=True):
            assert len(client.get(path).json()) == found, path
        assert api.slowest(client, 1)[0] > 0
