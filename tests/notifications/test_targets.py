"""Addresses that a subscriber may name, and those that it may not."""

from __future__ import annotations

from collections.abc import Sequence
from ipaddress import ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from skerry.errors import InvalidError, UnavailableError
from skerry.notifications.targets import Policy, check_form, choose, refusal, system_resolve

STRICT = Policy()
HOME = Policy(loopback=True)


@pytest.mark.parametrize(
    "uri",
    [
        "ftp://a.example/n",
        "file:///etc/passwd",
        "http://",
        "http:///n",
        "http://user:secret@a.example/n",
        "http://a.example/n#part",
        "http://a.example/with space",
        "http://a.example/\r\nHost: b",
        "http://a.example:0/n",
        "http://a.example:99999/n",
        "http://[::1/n",
        "http://a.example/ü",
        "http://a.example/" + "x" * 3000,
        "nonsense",
    ],
)
def test_no_address(uri: str) -> None:
    with pytest.raises(InvalidError) as caught:
        check_form(uri)
    assert "secret" not in caught.value.detail
    assert caught.value.faults[0].path == "/callbackUri"


@pytest.mark.parametrize("uri", ["http://a.example", "HTTPS://a.example:8443/n?x=1", "http://[2001:db8::1]:80/n"])
def test_an_address(uri: str) -> None:
    check_form(uri)


FORBIDDEN = [
    "169.254.169.254",  # metadata services of clouds
    "fe80::1",
    "10.1.2.3",
    "172.16.0.1",
    "192.168.1.1",
    "100.64.0.1",  # carriers
    "fc00::1",
    "fd00:ec2::254",
    "0.0.0.0",
    "::",
    "224.0.0.1",
    "ff02::1",
    "255.255.255.255",
    "240.0.0.1",
    "192.0.2.1",
    "127.0.0.1",
    "127.8.8.8",
    "::1",
    "::ffff:127.0.0.1",
    "::ffff:10.0.0.1",
    "::ffff:169.254.169.254",
    "64:ff9b::a9fe:a9fe",  # 169.254.169.254 by NAT64
    "2002:7f00:1::",  # 127.0.0.1 by 6to4
    "::169.254.169.254",
    "::127.0.0.1",
]


@pytest.mark.parametrize("text", FORBIDDEN)
def test_forbidden_by_default(text: str) -> None:
    assert refusal(ip_address(text), text, STRICT)


@pytest.mark.parametrize("text", ["8.8.8.8", "2606:4700::1111", "::ffff:8.8.8.8", "64:ff9b::808:808"])
def test_allowed_by_default(text: str) -> None:
    assert refusal(ip_address(text), text, STRICT) == ""


@pytest.mark.parametrize("text", ["127.0.0.1", "::1", "::ffff:127.0.0.1"])
def test_this_machine_where_only_this_machine_reaches_the_node(text: str) -> None:
    assert refusal(ip_address(text), text, HOME) == ""


@pytest.mark.parametrize(
    ("allowed", "text", "host", "fine"),
    [
        ("10.0.0.0/8", "10.1.2.3", "a", True),
        ("10.0.0.0/8", "::ffff:10.1.2.3", "a", True),
        ("10.0.0.0/8", "192.168.0.1", "a", False),
        ("10.1.2.3", "10.1.2.3", "a", True),
        ("fd00::/8", "fd00::5", "a", True),
        ("private", "192.168.0.1", "a", True),
        ("private", "fd00::5", "a", True),
        ("private", "169.254.169.254", "a", False),
        ("private", "127.0.0.1", "a", False),
        ("169.254.0.0/16", "169.254.169.254", "a", True),
        ("oss.example", "10.1.2.3", "OSS.example", True),
        ("oss.example", "10.1.2.3", "evil.example", False),
    ],
)
def test_a_policy(allowed: str, text: str, host: str, fine: bool) -> None:
    assert (refusal(ip_address(text), host, Policy(allowed=(allowed,))) == "") is fine


@given(st.ip_addresses(v=4))
def test_an_address_in_another_form_is_judged_the_same(address: object) -> None:
    text = str(address)
    forms = [f"::ffff:{text}", str(ip_address(int(ip_address("64:ff9b::")) + int(ip_address(text))))]
    own = bool(refusal(ip_address(text), "a", STRICT))
    assert [bool(refusal(ip_address(form), "a", STRICT)) for form in forms] == [own, own]


async def answers(*addresses: str) -> str:
    async def resolve(host: str, port: int) -> Sequence[str]:
        return addresses

    return await choose("a.example", 80, STRICT, resolve)


async def test_the_first_address_that_is_allowed_is_taken() -> None:
    assert await answers("10.0.0.1", "8.8.8.8", "8.8.4.4") == "8.8.8.8"


@pytest.mark.parametrize("addresses", [(), ("10.0.0.1",), ("fe80::1%eth0", "127.0.0.1")])
async def test_no_address_is_allowed(addresses: tuple[str, ...]) -> None:
    with pytest.raises(InvalidError, match=r"cannot notify a\.example") as caught:
        await answers(*addresses)
    assert "notification_targets" in caught.value.suggestion


async def test_the_machines_resolver() -> None:
    assert await choose("localhost", 80, HOME) in ("127.0.0.1", "::1")
    assert await choose("[::1]", 80, HOME) == "::1"
    with pytest.raises(UnavailableError, match=r"nobody\.invalid"):
        await system_resolve("nobody.invalid", 80)


@pytest.mark.parametrize("host", ["a..example", "a" * 64 + ".example", ".example", "xn--\x80"])
async def test_what_can_be_no_name_has_no_address(host: str) -> None:
    with pytest.raises(UnavailableError, match="cannot find the address"):
        await choose(host, 80, Policy())


@pytest.mark.parametrize("host", ["2606:4700::1%a.example", "::1%lo", "fe80::1%1"])
async def test_an_address_names_no_interface(host: str) -> None:
    """What stands behind the percent sign would be looked up once more, by another rule."""
    with pytest.raises(InvalidError, match="interface"):
        await choose(host, 80, Policy(loopback=True, allowed=("::/0",)))
