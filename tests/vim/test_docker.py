"""The docker driver's pure parts: what values are in the Engine's words, frames, events, settings."""

from __future__ import annotations

import io
import tarfile
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from skerry.engine.clock import SystemClock
from skerry.errors import InvalidError, NotFoundError, UnauthorizedError, UnavailableError
from skerry.vim.docker import engine, frames, holder, shape
from skerry.vim.docker.notes import Note, Notes
from skerry.vim.driver import ComputeSpec, ComputeState, DriverContext, File, Mount, Nic, NicSpec, Port
from skerry.vim.drivers.docker import DockerSettings, Driver


def spec(**changes: object) -> ComputeSpec:
    return ComputeSpec(**{"name": "a", "owner": "o", "image": "i", **changes})  # type: ignore[arg-type]


def nested(**changes: object) -> shape.Nested:
    made = spec(**changes)
    nics = tuple(
        Nic(network=nic.network, device=f"eth{at}", ip=f"10.0.0.{at + 2}", mac=f"02:00:00:00:00:0{at}")
        for at, nic in enumerate(made.nics)
    )
    return shape.Nested(spec=made, asked=shape.fingerprint(made), nics=nics)


@pytest.mark.feature("A82", "A83", "A17")
def test_each_key_reaches_the_container() -> None:
    full = nested(
        command=("prog", "arg"),
        env={"A": "b c"},
        vcpus=1.5,
        memory_bytes=1 << 27,
        pids=9,
        mounts=(Mount(source="/s", target="/t"),),
        capabilities=("NET_ADMIN", "CAP_SYS_ADMIN"),
        read_only=True,
        restart=True,
        labels={"mine": "1", shape.NODE: "forged"},
        options={"sysctls": {"net.ipv4.ip_forward": "1"}, "shm_bytes": 4096, "of_another_driver": 1},
    )
    body = shape.container("node", full, "ref", {"HostConfig": {"NetworkMode": "none"}})
    host = body["HostConfig"]
    assert (body["Entrypoint"], body["Cmd"], body["Env"], body["Image"]) == (["prog"], ["arg"], ["A=b c"], "ref")
    assert (host["NanoCpus"], host["Memory"], host["MemorySwap"], host["PidsLimit"]) == (
        15 * 10**8,
        1 << 27,
        1 << 27,
        9,
    )
    assert host["Mounts"] == [{"Type": "bind", "Source": "/s", "Target": "/t", "ReadOnly": True}]
    assert host["CapDrop"] == ["ALL"]
    assert {"NET_ADMIN", "SYS_ADMIN"} <= set(host["CapAdd"])
    assert (host["ReadonlyRootfs"], host["RestartPolicy"], host["NetworkMode"]) == (True, {"Name": "always"}, "none")
    assert (host["Sysctls"], host["ShmSize"]) == ({"net.ipv4.ip_forward": "1"}, 4096)
    assert (body["Labels"][shape.NODE], body["Labels"]["mine"]) == ("node", "1")


def test_labels_hold_the_whole_specification() -> None:
    full = nested(files=(File(path="/f", content=b"\x00\xff"),), nics=(NicSpec(network="n"),), env={"X": "ü"})
    assert shape.nested_of(shape.labels_of("node", full)) == full


def test_without_a_command_the_image_decides() -> None:
    body = shape.container("node", nested(), "ref", {})
    assert "Cmd" not in body
    assert "Entrypoint" not in body


@pytest.mark.parametrize(
    ("changes", "needed"),
    [
        ({}, False),
        ({"nics": (NicSpec(network="n"),)}, False),
        ({"nics": (NicSpec(network="n"), NicSpec(network="m"))}, True),
        ({"nics": (NicSpec(network="n", egress_bps=1),)}, True),
        ({"nics": (NicSpec(network="n", ingress_bps=1),)}, True),
        ({"nics": (NicSpec(network="n"),), "dns": ("10.0.0.1",)}, True),
        ({"ports": (Port(host=1, instance=2),)}, True),
    ],
)
def test_when_the_engine_alone_is_not_enough(changes: dict[str, object], needed: bool) -> None:
    assert shape.needs_holder(spec(**changes)) is needed


def test_names_are_deterministic_and_differ() -> None:
    first = shape.engine_name("node", "vnf/1 ü")
    assert first == shape.engine_name("node", "vnf/1 ü")
    assert len({first, shape.engine_name("node", "vnf-1 u"), shape.engine_name("other", "vnf/1 ü")}) == 3
    assert all(letter.isalnum() or letter in "_.-" for letter in first)


@pytest.mark.feature("A13")
@pytest.mark.parametrize(
    ("state", "stopped_at", "expected"),
    [
        ({"Status": "created"}, "", ComputeState.CREATED),
        ({"Status": "running"}, "", ComputeState.RUNNING),
        ({"Status": "restarting"}, "", ComputeState.RUNNING),
        ({"Status": "exited", "ExitCode": 0, "StartedAt": "t1"}, "", ComputeState.EXITED),
        ({"Status": "exited", "ExitCode": 137, "StartedAt": "t1"}, "", ComputeState.FAILED),
        ({"Status": "exited", "ExitCode": 137, "StartedAt": "t1"}, "t1", ComputeState.EXITED),
        ({"Status": "exited", "ExitCode": 137, "StartedAt": "t2"}, "t1", ComputeState.FAILED),
        ({"Status": "dead", "ExitCode": 1, "StartedAt": "t1"}, "", ComputeState.FAILED),
    ],
)
def test_states(state: dict[str, object], stopped_at: str, expected: ComputeState) -> None:
    assert shape.state_of(state, stopped_at) is expected


def test_every_fault_of_a_specification_is_told() -> None:
    wrong = spec(
        files=(File(path="relative", content=b""), File(path="/a/../b", content=b"")),
        mounts=(Mount(source="s", target="t"),),
        nics=(NicSpec(network="n"), NicSpec(network="n")),
    )
    with pytest.raises(InvalidError) as caught:
        shape.check(wrong)
    assert len(caught.value.faults) == 5


def test_files_become_a_tar() -> None:
    data = shape.file_tar(spec(files=(File(path="/etc/x", content=b"1", mode=0o600),)))
    with tarfile.open(fileobj=io.BytesIO(data)) as tar:
        member = tar.getmember("etc/x")
        assert (member.mode, member.size) == (0o600, 1)


def test_scripts_of_a_holder() -> None:
    wanted = spec(
        nics=(NicSpec(network="n", egress_bps=8000), NicSpec(network="m", ingress_bps=9000)), dns=("10.0.0.9",)
    )
    nics = nested(nics=wanted.nics).nics
    inner = holder.inner_script(wanted, nics)
    assert "ip link set eth1 address 02:00:00:00:00:01" in inner
    assert "tc qdisc replace dev eth0 root tbf rate 8000bit" in inner
    assert "nameserver 10.0.0.9" in inner
    outer = holder.outer_script(wanted, ["7", "8"])
    assert "9000bit" in outer
    assert "^8:" in outer
    assert "8000bit" not in outer
    assert holder.outer_script(spec(nics=(NicSpec(network="n", egress_bps=1),)), ["7"]) == ""


async def pieces(data: bytes, size: int) -> AsyncIterator[bytes]:
    for at in range(0, len(data), size):
        yield data[at : at + size]


def frame(stream: int, data: bytes) -> bytes:
    return bytes([stream, 0, 0, 0]) + len(data).to_bytes(4, "big") + data


@pytest.mark.parametrize("size", [1, 3, 8, 1000])
async def test_frames_survive_any_cut(size: int) -> None:
    data = frame(1, b"out") + frame(2, b"") + frame(2, b"error") + frame(1, b"x" * 300)
    seen = [one async for one in frames.frames(pieces(data, size))]
    assert seen == [("stdout", b"out"), ("stderr", b""), ("stderr", b"error"), ("stdout", b"x" * 300)]


@pytest.mark.feature("A88")
async def test_log_lines_are_put_together_by_stream() -> None:
    data = frame(1, b"2030-01-01T00:00:00.5Z one ") + frame(2, b"2030-01-01T00:00:01Z bad\n")
    data += frame(1, b"more\n2030-01-01T00:00:02Z end")
    lines = [(line.stream, line.time[-5:], line.text) async for line in frames.log_lines(pieces(data, 7))]
    assert lines == [("stderr", "0:01Z", "bad"), ("stdout", "00.5Z", "one more"), ("stdout", "0:02Z", "end")]


def test_the_moment_after_is_one_nanosecond_later() -> None:
    assert frames.just_after("1970-01-01T00:01:00.123456789Z") == "60.123456790"
    assert frames.just_after("1970-01-01T00:01:00.999999999Z") == "61.000000000"
    assert frames.just_after("1970-01-01T00:01:00Z") == "60.000000001"


@pytest.mark.feature("A4")
@pytest.mark.parametrize(
    ("action", "changes", "told"),
    [
        ("create", {}, ("created", None)),
        ("create", {"skerry.generation": "1"}, ("changed", None)),
        ("start", {}, ("started", None)),
        ("die", {"exitCode": "0"}, ("exited", 0)),
        ("die", {"exitCode": "137"}, ("killed", 137)),
        ("oom", {}, ("oom", None)),
        ("destroy", {}, ("deleted", None)),
        ("exec_start: ls", {}, None),
        ("die", {"skerry.node": "other", "exitCode": "0"}, None),
        ("die", {"skerry.role": "holder", "exitCode": "0"}, None),
    ],
)
def test_events(action: str, changes: dict[str, str], told: tuple[str, int | None] | None) -> None:
    labels = {"skerry.node": "n", "skerry.role": "compute", "skerry.name": "a", **changes}
    document = {"Action": action, "timeNano": 1_500_000_000, "Actor": {"ID": "x", "Attributes": labels}}
    event = frames.event_of(document, "n")
    assert (event and (event.action, event.exit_code)) == told
    assert event is None or event.time == "1970-01-01T00:00:01.500Z"


def test_refusals_are_ours() -> None:
    assert isinstance(engine.refused(404, b'{"message": "gone"}', "GET /x"), NotFoundError)
    unknown = engine.refused(500, b"not json", "GET /x")
    assert "not json" in str(unknown)


def test_notes_are_kept_and_dropped(tmp_path: Path) -> None:
    notes = Notes(tmp_path / "notes")
    assert notes.get("a") == Note()
    notes.put("a", Note(pending=spec(env={"X": "1"}), stopped_at="t"))
    assert Notes(tmp_path / "notes").get("a").pending == spec(env={"X": "1"})
    notes.drop("a")
    notes.drop("a")
    assert notes.get("a") == Note()


def make(tmp_path: Path, **settings: str) -> Driver:
    chosen = DockerSettings(**settings)  # type: ignore[arg-type]
    return Driver(chosen, DriverContext(node="n", data_dir=tmp_path, clock=SystemClock()))


def test_an_endpoint_is_a_socket_or_an_address(tmp_path: Path) -> None:
    with pytest.raises(InvalidError, match="http"):
        make(tmp_path, endpoint="http://x")


async def test_nobody_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(UnavailableError, match="cannot reach"):
        await make(tmp_path, endpoint=f"unix://{tmp_path}/none.sock").open()
    with pytest.raises(UnavailableError, match="it is not open"):
        await make(tmp_path).list_compute()


async def test_missing_certificates_are_told(tmp_path: Path) -> None:
    with pytest.raises(UnauthorizedError, match="TLS files"):
        await make(tmp_path, endpoint="tcp://127.0.0.1:2376", tls_ca=str(tmp_path / "ca.pem")).open()
