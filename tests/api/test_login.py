"""One login for a main node, an edge that trusts it, and a portal that asks it."""

from __future__ import annotations

import base64
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest

from skerry.access.elsewhere import Elsewhere, issuer
from skerry.access.roles import Principal
from skerry.engine.clock import SystemClock
from skerry.errors import UnavailableError
from skerry.notifications.login import vouched
from skerry.notifications.wire import Answer
from skerry.settings import LoginNode
from tests.api.rig import Rig, running
from tests.serving import served

SERVICES = "/nslcm/v2/ns_instances"


class Nodes:
    """A main node that is served, an edge that trusts it, and a client's credentials at the main node."""

    def __init__(self, main: Rig, edge: Rig, known: dict[str, str]) -> None:
        self.main, self.edge, self.known = main, edge, known

    async def login(self, **changes: str) -> httpx.Response:
        return await self.main.client.post(
            "/oauth2/login", json={**self.known, **changes}, headers={"Authorization": ""}
        )

    async def token(self) -> str:
        return str((await self.login()).json()["accessToken"])

    async def as_holder(self, rig: Rig, token: str, path: str = SERVICES, method: str = "GET", **more: Any) -> int:
        headers = {"Authorization": f"Bearer {token}"}
        return (await rig.client.request(method, path, headers=headers, **more)).status_code


@pytest.fixture
async def nodes(tmp_path: Path) -> AsyncGenerator[Nodes]:
    async with (
        running(tmp_path / "main", node="main") as main,
        served(main) as url,
        running(tmp_path / "edge", node="edge", login_node=LoginNode(endpoint=url)) as edge,
    ):
        anna = {"name": "anna", "tenant": "default", "role": "guest"}
        made = await main.client.post("/skerry/v1/access/clients", json=anna)
        assert made.status_code == 201, made.text
        said = made.json()
        yield Nodes(main, edge, {"clientId": said["client"]["id"], "clientSecret": said["client_secret"]})


@pytest.mark.feature("B60")
async def test_one_login_opens_main_node_edge_and_portal_until_the_logout(nodes: Nodes) -> None:
    token = await nodes.token()
    assert issuer(token) == "urn:skerry:node:main"
    assert await nodes.as_holder(nodes.main, token) == 200
    assert await nodes.as_holder(nodes.edge, token) == 200
    shown = await nodes.main.client.post("/oauth2/validate", headers={"Authorization": f"Bearer {token}"})
    assert (shown.status_code, shown.json()["name"], shown.json()["role"]) == (200, "anna", "guest")
    assert await nodes.as_holder(nodes.edge, token, method="POST", json={"nsdId": "x"}) == 403, "a guest there, too"
    assert await nodes.as_holder(nodes.main, token, "/oauth2/logout", "POST") == 204
    assert await nodes.as_holder(nodes.main, token) == 401
    assert await nodes.as_holder(nodes.main, token, "/oauth2/validate", "POST") == 401
    nodes.edge.node.elsewhere._known.clear()  # type: ignore[union-attr]  # the seconds that an answer counts are over
    assert await nodes.as_holder(nodes.edge, token) == 401


@pytest.mark.feature("B60")
async def test_a_token_is_renewed_and_the_old_one_ends(nodes: Nodes) -> None:
    token = await nodes.token()
    headers = {"Authorization": f"Bearer {token}"}
    renewed = (await nodes.main.client.post("/oauth2/refresh", headers=headers)).json()
    assert await nodes.as_holder(nodes.main, renewed["accessToken"]) == 200
    assert await nodes.as_holder(nodes.main, token) == 401
    assert (await nodes.main.client.post("/oauth2/refresh", headers=headers)).status_code == 401


@pytest.mark.feature("A42", "B60")
async def test_the_audit_names_who_logs_in_and_renews(nodes: Nodes) -> None:
    headers = {"Authorization": f"Bearer {await nodes.token()}"}
    assert (await nodes.login(scope="nonsense:v1:all")).status_code == 400
    assert (await nodes.login(clientSecret="wrong")).status_code == 401
    assert (await nodes.main.client.post("/oauth2/refresh", headers=headers)).status_code == 200
    assert (await nodes.main.client.post("/oauth2/refresh", headers=headers)).status_code == 401
    for token in (await nodes.token(), "nonsense"):
        held = {"Authorization": f"Bearer {token}"}
        assert (await nodes.main.client.post("/oauth2/logout", headers=held)).status_code == 204
    log = [one for one in nodes.main.node.engine.events.since(0) if one.kind == "audit"]
    assert [(one.name, one.detail, one.state) for one in log if "/oauth2/" in one.detail] == [
        ("anna", "POST /oauth2/login", "200"),
        ("anna", "POST /oauth2/login", "400"),
        ("unknown at 127.0.0.1", "POST /oauth2/login", "401"),
        ("anna", "POST /oauth2/refresh", "200"),
        ("unknown at 127.0.0.1", "POST /oauth2/refresh", "401"),
        ("anna", "POST /oauth2/login", "200"),
        ("anna", "POST /oauth2/logout", "204"),
    ]
    assert log[-1].data["client"] == nodes.known["clientId"]
    assert nodes.known["clientSecret"] not in repr(log)


@pytest.mark.feature("B60")
async def test_who_is_not_known_gets_nothing(nodes: Nodes) -> None:
    assert (await nodes.login(clientSecret="wrong")).status_code == 401
    assert (await nodes.login(scope="nonsense:v1:all")).status_code == 400
    for body in (b"", b"[]", b"{", b'{"clientId": 1}', b'{"clientId": "\xff", "clientSecret": ""}'):
        assert (await nodes.main.client.post("/oauth2/login", content=body)).status_code == 400
    for token in ("", "a.b.c", "eyJpc3MiOiJ4In0.eyJpc3MiOiJ4In0.x"):
        assert await nodes.as_holder(nodes.edge, token) == 401
        assert await nodes.as_holder(nodes.main, token, "/oauth2/validate", "POST") == 401


@pytest.mark.feature("B60")
async def test_an_edge_without_its_main_node_takes_its_own_tokens_only(tmp_path: Path, nodes: Nodes) -> None:
    token = await nodes.token()
    gone = LoginNode(endpoint="http://127.0.0.1:9")
    async with running(tmp_path / "alone", node="alone", login_node=gone) as alone:
        assert await nodes.as_holder(alone, token) == 401
        assert (await alone.client.get(SERVICES)).status_code == 200


@pytest.mark.feature("B60")
async def test_callers_of_another_node_have_the_rate_of_this_one(tmp_path: Path, nodes: Nodes) -> None:
    token = await nodes.token()
    async with served(nodes.main) as url:
        login = LoginNode(endpoint=url)
        async with running(
            tmp_path / "slow", node="slow", login_node=login, client_rate_per_s=0.001, client_burst=2
        ) as slow:
            assert [await nodes.as_holder(slow, token) for _ in range(3)] == [200, 200, 429]


async def logged_in(rig: Rig, **client: str) -> str:
    """The token of a new client, as its login answers it."""
    made = (await rig.client.post("/skerry/v1/access/clients", json=client)).json()
    known = {"clientId": made["client"]["id"], "clientSecret": made["client_secret"]}
    answer = await rig.client.post("/oauth2/login", json=known, headers={"Authorization": ""})
    return str(answer.json()["accessToken"])


async def seen(rig: Rig, token: str) -> tuple[str, str] | int:
    """Tenant and role of a caller as a node sees it, or the status of the refusal."""
    answer = await rig.client.get("/skerry/v1/access/me", headers={"Authorization": f"Bearer {token}"})
    return (answer.json()["tenant"], answer.json()["role"]) if answer.status_code == 200 else answer.status_code


@pytest.mark.feature("B60")
async def test_callers_of_another_node_are_here_what_the_settings_say(tmp_path: Path, nodes: Nodes) -> None:
    main = nodes.main
    people = {
        "root": await logged_in(main, name="root", tenant="default", role="admin"),
        "keeper": await logged_in(main, name="keeper", tenant="default", role="account_manager"),
        "red": await logged_in(main, name="boss", tenant="red", role="admin"),
        "blue": await logged_in(main, name="anybody", tenant="blue", role="operator"),
    }
    async with served(main) as url:
        plain, chosen, wide = (
            LoginNode(endpoint=url),
            LoginNode(endpoint=url, tenants={"red": "east-red"}, role="admin"),
            LoginNode(endpoint=url, role="admin"),
        )
        expected: list[dict[str, Any]] = [
            {"root": ("default", "operator"), "keeper": 401, "red": ("red", "operator"), "blue": ("blue", "operator")},
            {"root": 401, "keeper": 401, "red": ("east-red", "admin"), "blue": 401},
            {"root": ("default", "admin"), "keeper": ("default", "account_manager"), "red": ("red", "admin")},
        ]
        for number, (login, wanted) in enumerate(zip((plain, chosen, wide), expected, strict=True)):
            async with running(tmp_path / f"e{number}", node=f"e{number}", login_node=login) as edge:
                assert {name: await seen(edge, people[name]) for name in wanted} == wanted
                orphans = await nodes.as_holder(edge, people["root"], "/skerry/v1/orphans")
                assert (orphans == 200) is (number == 2), "who runs that node does not run this one, unless it is said"


@pytest.mark.feature("B60", "B59")
async def test_an_application_of_another_node_is_nobody_here(nodes: Nodes) -> None:
    support = "/mec_app_support/v1"
    made = await nodes.main.client.post(f"{support}/registrations", json={"appName": "there"})
    id = made.json()["appInstanceId"]
    given = (await nodes.main.client.post(f"/mp1/v1/applications/{id}/credentials")).json()
    told = {"clientId": given["clientId"], "clientSecret": given["clientSecret"]}
    token = (await nodes.main.client.post("/oauth2/login", json=told, headers={"Authorization": ""})).json()
    here = (await nodes.edge.client.post(f"{support}/registrations", json={"appName": "here"})).json()["appInstanceId"]
    rules = f"{support}/applications/{{}}/dns_rules"
    assert await nodes.as_holder(nodes.main, token["accessToken"], rules.format(id)) == 200
    assert await nodes.as_holder(nodes.edge, token["accessToken"], rules.format(here)) == 401


class Still(SystemClock):
    """No time passes."""

    def monotonic(self) -> float:
        return 1.0


def told(body: bytes) -> str:
    """A token of another issuer, as anybody can write it."""
    return f"x.{base64.urlsafe_b64encode(body).decode().rstrip('=')}.x"


@pytest.mark.feature("B60")
async def test_tokens_that_nobody_issued_are_refused_like_any_other(nodes: Nodes) -> None:
    deep = told(b'{"iss": "x", "y": ' + b"[" * 9000)
    strange = "\xe9" + told(b'{"iss": "x"}')[1:]
    for token in (deep, strange, f"{deep.split('.')[1]}.x.x"):
        headers = httpx.Headers([(b"authorization", f"Bearer {token}".encode("latin-1"))])
        for rig in (nodes.main, nodes.edge):
            assert (await rig.client.get(SERVICES, headers=headers)).status_code == 401


@pytest.mark.feature("B60")
@pytest.mark.parametrize(
    "lies", [{"tenant": ""}, {"tenant": "No Tenant"}, {"role": "root"}, {"name": ""}, {"clientId": ""}], ids=str
)
async def test_a_node_that_vouches_for_nobody_in_particular_is_not_believed(lies: dict[str, str]) -> None:
    said = {"clientId": "c", "name": "n", "tenant": "default", "role": "guest", "scope": "", "expiresAt": 1}

    async def call(method: str, uri: str, headers: object, body: bytes, who: object) -> Answer:
        return Answer(200, {}, msgspec.json.encode({**said, **lies}))

    with pytest.raises(UnavailableError):
        await vouched("http://192.0.2.1", call, "a.b.c")


@pytest.mark.feature("B60")
async def test_a_flood_of_made_up_tokens_keeps_nobody_out(nodes: Nodes) -> None:
    asked: list[str] = []

    async def ask(token: str) -> Principal | None:
        asked.append(token)
        return Principal(name="n") if token == good else None

    good, elsewhere = told(b'{"iss": "good"}'), Elsewhere(ask, Still())
    for number in range(200):
        made_up = told(b'{"iss": "bad%d"}' % number)
        await elsewhere.meet(f"Bearer {made_up}", "own", "192.0.2.66")
    assert len(asked) < 200
    await elsewhere.meet(f"Bearer {good}", "own", "192.0.2.1")
    assert elsewhere.principal(good) is not None
