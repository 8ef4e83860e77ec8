"""From a specification to a bundle, and what is read from text: pure."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from skerry.vim.driver import ComputeSpec, File, Mount, Nic, Port
from skerry.vim.local import cgroups, logfile, oci, seccomp

ALL = -1


def bundle(**changes: Any) -> dict[str, Any]:
    spec = ComputeSpec(**{"name": "one", "owner": "o", "image": "i", **changes})
    place = oci.Place(root="/r", network="/run/netns/n", cgroup="/skerry/t/one", files={"/etc/hosts": "/f/h"})
    return oci.bundle(spec, place, program=("/bin/app", "-x"), env={"A": "1"})


@pytest.mark.feature("A82", "A83")
@pytest.mark.parametrize(
    ("changes", "path", "value"),
    [
        ({}, "process/args", ["/bin/app", "-x"]),
        ({}, "hostname", "one"),
        ({"hostname": "sip-1"}, "hostname", "sip-1"),
        ({"name": "NS.vnf/Server_0"}, "hostname", "ns-vnf-server-0"),
        ({"name": "_"}, "hostname", "instance"),
        ({"read_only": True}, "root/readonly", True),
        ({}, "process/noNewPrivileges", True),
        ({}, "linux/cgroupsPath", "/skerry/t/one"),
        ({"memory_bytes": 64 << 20}, "linux/resources/memory/limit", 64 << 20),
        ({"vcpus": 1.5}, "linux/resources/cpu/quota", 150_000),
        ({"vcpus": 0.001}, "linux/resources/cpu/quota", 1000),
        ({"pids": 7}, "linux/resources/pids/limit", 7),
    ],
)
def test_each_property_has_its_place(changes: dict[str, Any], path: str, value: object) -> None:
    found: Any = bundle(**changes)
    for part in path.split("/"):
        found = found[part]
    assert found == value


@pytest.mark.feature("A17", "A49")
def test_no_limit_is_no_entry() -> None:
    resources = bundle(vcpus=0, memory_bytes=0, pids=0)["linux"]["resources"]
    assert set(resources) == {"devices"}


def test_five_namespaces_of_its_own_with_the_network_by_path() -> None:
    namespaces = {entry["type"]: entry.get("path", "") for entry in bundle()["linux"]["namespaces"]}
    assert namespaces == {"pid": "", "ipc": "", "uts": "", "mount": "", "network": "/run/netns/n"}


@pytest.mark.feature("A82")
def test_capabilities_are_few_and_what_is_asked_for_is_added() -> None:
    few = bundle()["process"]["capabilities"]["bounding"]
    assert "CAP_SYS_ADMIN" not in few
    assert "CAP_NET_ADMIN" not in few
    more = bundle(capabilities=("NET_ADMIN", "CAP_SYS_ADMIN"))["process"]["capabilities"]["effective"]
    assert set(more) - set(few) == {"CAP_NET_ADMIN", "CAP_SYS_ADMIN"}


@pytest.mark.feature("A82", "C40")
def test_who_administers_the_network_has_tunnels_and_its_settings() -> None:
    plain, more = (bundle(**changes)["linux"] for changes in ({}, {"capabilities": ("NET_ADMIN",)}))
    assert plain["devices"] == []
    assert "/proc/sys" in plain["readonlyPaths"]
    assert [device["path"] for device in more["devices"]] == ["/dev/net/tun"]
    allowed = [rule for rule in more["resources"]["devices"] if rule["allow"]]
    assert [(rule["type"], rule["major"], rule["minor"]) for rule in allowed] == [("c", 10, 200)]
    kept = {path for path in more["readonlyPaths"] if path.startswith("/proc/sys")}
    assert {"/proc/sys/kernel", "/proc/sys/vm", "/proc/sys/fs"} <= kept
    assert not kept & {"/proc/sys", "/proc/sys/net"}


@pytest.mark.feature("A82")
def test_environment_and_mounts() -> None:
    made = bundle(mounts=(Mount(source="/src", target="/dst"), Mount(source="/s2", target="/d2", read_only=False)))
    assert "A=1" in made["process"]["env"]
    assert any(entry.startswith("PATH=") for entry in made["process"]["env"])
    mounts = {entry["destination"]: entry for entry in made["mounts"]}
    assert "ro" in mounts["/dst"]["options"]
    assert "rw" in mounts["/d2"]["options"]
    assert mounts["/etc/hosts"]["source"] == "/f/h"
    assert mounts["/dev/shm"]["options"][3] == "mode=1777"
    assert "/run" not in mounts
    assert "/run" in {entry["destination"] for entry in bundle(read_only=True)["mounts"]}


@pytest.mark.feature("A51", "A82")
def test_hosts_and_resolver_files() -> None:
    spec = ComputeSpec(
        name="a", owner="o", image="i", dns=("10.0.0.53", "fd00::53"), hosts={"server.vnf.net": "10.0.0.9"}
    )
    hosts = oci.hosts_file(spec, (Nic(network="n", device="eth0", ip="10.0.0.2", mac="02:00:00:00:00:01"),))
    assert "10.0.0.2 a\n" in hosts
    assert "10.0.0.9 server.vnf.net\n" in hosts
    assert oci.resolver_file(spec) == "nameserver 10.0.0.53\nnameserver fd00::53\n"


def test_every_fault_is_named_at_once() -> None:
    spec = ComputeSpec(
        name="a",
        owner="o",
        image="i",
        vcpus=-1,
        memory_bytes=1000,
        dns=("nowhere",),
        capabilities=("FLY", "SYS_RESOURCE"),
        files=(File(path="etc/x", content=b""), File(path="/a/../../b", content=b"")),
        mounts=(Mount(source="/", target="/"),),
        env={"A=B": "c", "D": "e\0f"},
        ports=(Port(host=80, instance=80, protocol="sctp"), Port(host=80, instance=80)),
    )
    without_resource = ALL & ~(1 << oci.CAPABILITIES.index("SYS_RESOURCE"))
    found = [fault.path for fault in oci.faults(spec, without_resource)]
    assert sorted(found) == sorted(
        [
            "vcpus",
            "memory_bytes",
            "dns",
            "capabilities",
            "capabilities",
            "files",
            "files",
            "mounts",
            "env",
            "env",
            "ports",
            "ports",
        ]
    )
    assert (
        oci.faults(ComputeSpec(name="a", owner="o", image="i", dns=("::1",), capabilities=("SYS_RESOURCE",)), ALL) == []
    )


@pytest.mark.parametrize(
    ("user", "ids"),
    [
        ("", (0, 0)),
        ("app", (7, 70)),
        ("7", (7, 70)),
        ("8", (8, 0)),
        ("app:media", (7, 90)),
        ("8:9", (8, 9)),
        (":media", (0, 90)),
    ],
)
def test_users_are_those_of_the_image(user: str, ids: tuple[int, int]) -> None:
    passwd = "root:x:0:0:r:/root:/bin/sh\napp:x:7:70::/:/bin/false\nbroken\n"
    assert oci.user_ids(user, passwd, "media:x:90:\n") == ids


def test_an_unknown_user_is_an_error() -> None:
    with pytest.raises(KeyError):
        oci.user_ids("ghost", "root:x:0:0::/:/bin/sh\n", "")


def test_the_filter_opens_with_the_capability() -> None:
    def denied(*capabilities: str) -> set[str]:
        return {name for rule in seccomp.profile(capabilities)["syscalls"] for name in rule["names"]}

    assert {"reboot", "kexec_load", "init_module", "bpf", "keyctl", "ptrace", "mount", "unshare"} <= denied()
    assert "mount" not in denied("SYS_ADMIN")
    assert "clone3" not in denied("SYS_ADMIN")
    assert "ptrace" not in denied("SYS_PTRACE")
    assert "keyctl" in denied("SYS_ADMIN", "SYS_PTRACE")
    assert seccomp.profile((), "x86_64")["architectures"][0] == "SCMP_ARCH_X86_64"


V1 = "cgroup /sys/fs/cgroup/{0} cgroup rw,{0} 0 0"


@pytest.mark.parametrize(
    ("mounts", "mode"),
    [
        ("cgroup2 /sys/fs/cgroup cgroup2 rw,nsdelegate 0 0", "v2"),
        ("\n".join(map(V1.format, ("cpu,cpuacct", "memory", "pids"))), "v1"),
        ("\n".join([V1.format("memory"), "cgroup2 /sys/fs/cgroup/unified cgroup2 rw 0 0"]), "hybrid"),
        ("tmpfs /tmp tmpfs rw 0 0\nshort", "none"),
    ],
)
def test_control_groups_are_recognised(mounts: str, mode: str) -> None:
    assert cgroups.layout(mounts).mode == mode


def test_joined_controllers_of_version_one_are_found_each() -> None:
    layout = cgroups.layout("cgroup /c/cpu,cpuacct cgroup rw,cpu,cpuacct 0 0\ncgroup /c/memory cgroup rw,memory 0 0")
    assert layout.v1["cpuacct"] == "/c/cpu,cpuacct"
    assert layout.roots() == (Path("/c/cpu,cpuacct"), Path("/c/memory"))


def fake_v2(folder: Path) -> cgroups.Layout:
    home = folder / "skerry" / "one"
    home.mkdir(parents=True)
    (home / "cpu.stat").write_text("usage_usec 2500000\nuser_usec 1\n")
    (home / "memory.current").write_text("5000\n")
    (home / "memory.stat").write_text("anon 1\ninactive_file 1000\n")
    (home / "memory.events").write_text("low 0\noom 1\noom_kill 1\n")
    (home / "pids.current").write_text("3\n")
    return cgroups.Layout("v2", v2=str(folder))


@pytest.mark.feature("A17")
def test_counters_of_version_two(tmp_path: Path) -> None:
    layout = fake_v2(tmp_path)
    assert cgroups.counters(layout, "/skerry/one") == cgroups.Counters(2.5, 4000, 3)
    assert cgroups.out_of_memory(layout, "/skerry/one")
    assert not cgroups.out_of_memory(layout, "/skerry/none")
    with pytest.raises(FileNotFoundError):
        cgroups.counters(layout, "/skerry/none")


LINES = (
    b"2026-01-01T00:00:00.1+00:00 stdout F one\n"
    b"2026-01-01T00:00:00.2+00:00 stdout P two \n"
    b"2026-01-01T00:00:00.3+00:00 stderr F other\n"
    b"2026-01-01T00:00:00.4+00:00 stdout F halves\n"
)


@pytest.mark.feature("A88")
@given(st.lists(st.integers(0, len(LINES)), max_size=6))
def test_log_lines_are_whole_however_they_arrive(cuts: list[int]) -> None:
    parser, lines = logfile.Parser(), []
    for begin, end in zip([0, *sorted(cuts)], [*sorted(cuts), len(LINES)], strict=True):
        lines += parser.feed(LINES[begin:end])
    assert [(line.stream, line.text) for line in lines] == [
        ("stdout", "one"),
        ("stderr", "other"),
        ("stdout", "two halves"),
    ]
    assert lines[0].time == "2026-01-01T00:00:00.1Z"


@pytest.mark.feature("A88")
def test_the_last_lines_of_a_large_log(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_text("".join(f"2026-01-01T00:00:00+00:00 stdout F a F line {number}\n" for number in range(20_000)))
    for count in (0, 1, 3, 5000):
        lines, end, _ = logfile.last(path, count)
        assert [line.text for line in lines] == [f"a F line {number}" for number in range(20_000 - count, 20_000)]
        assert end == path.stat().st_size
    assert len(logfile.last(path, None)[0]) == 20_000
    assert len(logfile.last(path, 10**6)[0]) == 20_000
    assert logfile.last(tmp_path / "none", 3)[0] == []
