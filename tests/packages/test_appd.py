"""Application packages: what an AppD says is read whole or refused whole, with every fault at its place; it becomes a VNFD
and an NSD and comes back."""

from __future__ import annotations

import json
import os
import random
import tarfile
from pathlib import Path
from typing import Any

import msgspec
import pytest
from click.testing import CliRunner

from skerry.errors import InvalidError
from skerry.model.app import AppPackage
from skerry.model.appd import AppD, PlatformPart
from skerry.model.descriptors import NsPackage, VnfPackage
from skerry.model.mec import IpAddressType, TrafficAction, TransportType
from skerry.packages import build, lint, read
from skerry.packages.appd_nfv import appd_of, build_nfv
from tests.meo.packages import IMAGE, TRANSPORT, appd, archive, dns, folder, service, traffic
from tests.vnfm.builder import vnf_folder

EXAMPLES = Path(__file__).parents[2] / "examples" / "mec"
OAUTH = {"oAuth2Info": {"grantTypes": ["OAUTH2_CLIENT_CREDENTIALS"], "tokenEndpoint": "https://mep.example/token"}}
BINDING = {"transport": {**TRANSPORT, "security": OAUTH}, "serializers": ["JSON"], "labels": ["a"]}
EVERYTHING = appd(
    appInfoName="Whole",
    virtualStorageDescriptor=[{"id": "disk", "typeOfStorage": "BLOCK", "blockStorageData": {"sizeOfStorage": 1.0}}],
    appServiceRequired=[service("rni", "2.1", serTransportDependencies=[BINDING])],
    appServiceOptional=[service("location")],
    appServiceProduced=[
        service("video", transportsSupported=[{"transport": TRANSPORT, "serializers": ["JSON", "XML"]}])
    ],
    appFeatureRequired=[{"featureName": "UserApps", "version": "1.0"}],
    appFeatureOptional=[{"featureName": "UEIdentity", "version": "1.0"}],
    transportDependencies=[BINDING],
    appTrafficRule=[
        traffic(dstInterface={"interfaceType": "IP", "dstIPAddress": "web"}),
        traffic(
            trafficRuleId="t2",
            action="DUPLICATE_DECAPSULATED",
            trafficFilter=[{"srcTunnelAddress": ["192.0.2.1-192.0.2.9"], "qCI": 5, "dSCP": 46, "tC": 3}],
            dstInterface={
                "interfaceType": "TUNNEL",
                "tunnelInfo": {"tunnelType": "GTP-U", "tunnelDstAddress": "192.0.2.1", "tunnelSrcAddress": "192.0.2.2"},
            },
        ),
    ],
    appDNSRule=[dns(), dns(dnsRuleId="d2", ipAddressType="IP_V6", ipAddress="2001:db8::1")],
    appLatency={"maxLatency": 5_000_000},
    terminateAppInstanceOpConfig={"minGracefulTerminationTimeout": 5, "maxRecommendedGracefulTerminationTimeout": 9},
    changeAppInstanceStateOpConfig={"minGracefulStopTimeout": 3},
    userContextTransferCapability={"statefulApplication": True, "userContextTransferSupport": False},
    appNetworkPolicy={"steeredNetwork": {"cellularNetwork": True, "wi-fiNetwork": True}},
)


def faults_of(descriptor: dict[str, Any], tmp_path: Path) -> list[tuple[str, str]]:
    """Code and path of every error."""
    errors, _, _ = lint(folder(tmp_path, descriptor))
    return [(fault.code, fault.path) for fault in errors]


@pytest.mark.feature("E3", "E7", "E8", "E9", "E10")
def test_every_attribute_is_read_and_comes_back_the_same(tmp_path: Path) -> None:
    package = read(folder(tmp_path, EVERYTHING))
    assert isinstance(package, AppPackage)
    found = package.appd
    assert [one.ser_name for one in found.app_service_required] == ["rni"]
    assert found.app_service_required[0].ser_transport_dependencies[0].transport.type is TransportType.REST_HTTP
    assert found.app_traffic_rule[1].action is TrafficAction.DUPLICATE_DECAPSULATED
    assert found.app_dns_rule[1].ip_address_type is IpAddressType.IP_V6
    assert found.app_latency is not None
    assert found.app_latency.max_latency == 5_000_000
    plain = json.loads(msgspec.json.encode(found))
    # what is given as the default is left out: ports that are not configurable, the layer protocol
    assert {name for name in EVERYTHING if plain.get(name) != EVERYTHING[name]} == {"appExtCpd"}
    assert msgspec.convert(msgspec.json.decode(msgspec.json.encode(found)), AppD) == found


@pytest.mark.feature("E3")
def test_yaml_and_json_say_the_same(tmp_path: Path) -> None:
    package = read(EXAMPLES / "echo")
    assert isinstance(package, AppPackage)
    written = json.loads(msgspec.json.encode(package.appd))
    again = read(folder(tmp_path, {"AppD": written}))
    assert isinstance(again, AppPackage)
    assert again.appd == package.appd


@pytest.mark.feature("E3")
def test_earlier_releases_are_read(tmp_path: Path) -> None:
    old = appd(
        swImageDescriptor=IMAGE,
        mecVersion="2.1.1, 3.1.1",
        appExtCpd=[{"inherited_attributes": {"cpdId": "web", "layerProtocol": ["IPV4"]}}],
    )
    package = read(folder(tmp_path, old))
    assert isinstance(package, AppPackage)
    assert package.appd.mec_version == ("2.1.1", "3.1.1")
    assert package.appd.app_ext_cpd[0].cpd_id == "web"


@pytest.mark.feature("E3")
def test_every_fault_at_once_with_its_place(tmp_path: Path) -> None:
    wrong = appd(
        appProvider=None,
        appNam="x",
        appTrafficRule=[traffic(priority=300, filterType="BOTH", trafficFilter=[])],
        appDNSRule=[dns(ttl=-1)],
    )
    errors, _, package = lint(folder(tmp_path, wrong))
    assert package is None
    found = {(fault.code, fault.path) for fault in errors}
    assert found == {
        ("missing-attribute", ""),
        ("unknown-attribute", "appNam"),
        ("wrong-value", "appTrafficRule/0/priority"),
        ("wrong-value", "appTrafficRule/0/filterType"),
        ("too-few", "appTrafficRule/0/trafficFilter"),
        ("wrong-value", "appDNSRule/0/ttl"),
    }
    lines = (tmp_path / "Definitions" / "appd.json").read_text().splitlines()
    (priority,) = [fault for fault in errors if fault.path.endswith("priority")]
    assert priority.file == "Definitions/appd.json"
    assert '"priority": 300' in lines[priority.line - 1]
    (unknown,) = [fault for fault in errors if fault.code == "unknown-attribute"]
    assert unknown.fix == "did you mean appName?"


@pytest.mark.feature("E3")
@pytest.mark.parametrize(
    ("changes", "code", "path"),
    [
        ({"appTrafficRule": [traffic(trafficFilter=[{"dstAddress": ["300.1.1.1"]}])]}, "bad-address", "dstAddress/0"),
        ({"appTrafficRule": [traffic(trafficFilter=[{"dstPort": ["90-80"]}])]}, "bad-port", "dstPort/0"),
        ({"appTrafficRule": [traffic(trafficFilter=[{"uri": ["/x"]}])]}, "unsupported", "uri"),
        ({"appTrafficRule": [traffic(dstInterface={"interfaceType": "MAC"})]}, "bad-destination", "dstInterface"),
        ({"appTrafficRule": [traffic(), traffic()]}, "duplicate-id", "appTrafficRule/1"),
        ({"appDNSRule": [dns("not a name")]}, "bad-domain", "domainName"),
        ({"appDNSRule": [dns(address="2001:db8::1")]}, "bad-address", "ipAddress"),
        ({"appDNSRule": [dns(address="elsewhere")]}, "bad-address", "ipAddress"),
        ({"osContainerDescriptor": None}, "compute", ""),
        ({"userContextTransferCapability": {"statefulApplication": True}}, "context-transfer", "userContextTransfer"),
        (
            {"appServiceRequired": [service("s")], "appServiceProduced": [service("s")]},
            "service-of-itself",
            "appServiceRequired/0",
        ),
        ({"mciopId": "chart"}, "unsupported", "mciopId"),
    ],
)
def test_what_would_not_be_obeyed_is_refused(changes: dict[str, Any], code: str, path: str, tmp_path: Path) -> None:
    ((found, place),) = faults_of(appd(**changes), tmp_path)
    assert found == code
    assert path in place


@pytest.mark.feature("E11", "B62", "B63")
def test_an_appd_becomes_a_vnfd_and_an_nsd(tmp_path: Path) -> None:
    source = archive(EVERYTHING)
    package = read(source)
    assert isinstance(package, AppPackage)
    vnf_file, ns_file = build_nfv(source, tmp_path, package.appd)
    vnf, ns = read(vnf_file), read(ns_file)
    assert isinstance(vnf, VnfPackage)
    assert isinstance(ns, NsPackage)
    shared = (vnf.vnfd.id, vnf.vnfd.provider, vnf.vnfd.product_name, vnf.vnfd.software_version, vnf.vnfd.version)
    assert shared == ("app-1", "Test", "app-1", "1", "1.0")
    (unit,) = vnf.vnfd.flavours["default"].vdus.values()
    assert (unit.vcpus, unit.memory_bytes, unit.command, unit.env) == (0.1, 16_000_000, ("run",), {"MODE": "calm"})
    assert list(vnf.vnfd.flavours["default"].ext_cps) == ["web"]
    assert ns.nsd.vnfd_ids == ("app-1",)
    # nothing that only MEC has is in the NFV part
    mec_only = [field.encode_name for field in msgspec.structs.fields(PlatformPart)]
    text = msgspec.json.encode((vnf, ns)).decode()
    assert [name for name in mec_only if name in text] == []
    assert not [one.path for one in vnf.artifacts if one.path.endswith("appd.json")]


@pytest.mark.feature("B63")
@pytest.mark.parametrize("descriptor", [EVERYTHING, None], ids=["made-up", "example"])
def test_there_and_back_changes_nothing_more(descriptor: dict[str, Any] | None, tmp_path: Path) -> None:
    """What both models have survives: VNFD -> AppD -> VNFD is the same VNFD."""
    source = archive(descriptor) if descriptor else build(EXAMPLES / "echo", tmp_path / "echo.csar")
    first = read(source)
    assert isinstance(first, AppPackage)
    vnf = read(build_nfv(source, tmp_path, first.appd)[0])
    assert isinstance(vnf, VnfPackage)
    back = appd_of(vnf.vnfd)
    second = archive(msgspec.to_builtins(back))
    package = read(second)
    assert isinstance(package, AppPackage)
    again = read(build_nfv(second, tmp_path, package.appd)[0])
    assert isinstance(again, VnfPackage)
    one, two = vnf.vnfd.flavours["default"], again.vnfd.flavours["default"]
    assert [_essence(vdu) for vdu in one.vdus.values()] == [_essence(vdu) for vdu in two.vdus.values()]
    assert one.ext_cps == two.ext_cps
    assert back.platform == PlatformPart()


def _essence(vdu: Any) -> tuple[Any, ...]:
    return (vdu.id, vdu.image, vdu.vcpus, vdu.memory_bytes, vdu.command, vdu.env, vdu.files, vdu.grace_s, vdu.cps)


@pytest.mark.feature("B63")
def test_a_virtual_machine_there_and_back(tmp_path: Path) -> None:
    compute = {
        "virtualComputeDescId": "c",
        "virtualMemory": {"virtualMemSize": 512},
        "virtualCpu": {"numVirtualCpu": 2},
    }
    image = {**IMAGE, "containerFormat": "OVF", "diskFormat": "QCOW2", "swImage": "docker://vm"}
    machine = appd(osContainerDescriptor=None, virtualComputeDescriptor=compute, swImageDescriptor=[image])
    source = archive(machine)
    package = read(source)
    assert isinstance(package, AppPackage)
    vnf = read(build_nfv(source, tmp_path, package.appd)[0])
    assert isinstance(vnf, VnfPackage)
    (unit,) = vnf.vnfd.flavours["default"].vdus.values()
    assert (unit.vcpus, unit.memory_bytes) == (2.0, 512_000_000)
    assert appd_of(vnf.vnfd).virtual_compute_descriptor is not None


@pytest.mark.feature("B63")
def test_what_no_appd_can_say_is_refused(tmp_path: Path) -> None:
    two = "{id: two, vdus: {a: {nics: {p: ext}}, b: {nics: {q: ext}}}}"
    for name, text in vnf_folder(two).items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    package = read(tmp_path)
    assert isinstance(package, VnfPackage)
    with pytest.raises(InvalidError, match="2 VDUs"):
        appd_of(package.vnfd)


@pytest.mark.feature("E17")
def test_one_package_with_both_parts(tmp_path: Path) -> None:
    vnfd = vnf_folder("{id: both, vdus: {one: {nics: {pub: ext}}}}")
    named = {name.replace("/", "__").replace(".yaml", "_yaml"): text for name, text in vnfd.items()}
    source = archive(appd("both-app"), **named)
    package = read(source)
    assert isinstance(package, AppPackage)
    assert package.nfv is not None
    assert (package.appd.app_d_id, package.nfv.vnfd.id) == ("both-app", "both")
    vnf, ns = build_nfv(source, tmp_path, package.appd, package.nfv.vnfd)
    kept, service_ = read(vnf), read(ns)
    assert isinstance(kept, VnfPackage)
    assert kept.vnfd == package.nfv.vnfd
    assert isinstance(service_, NsPackage)
    assert service_.nsd.vnfd_ids == ("both",)


@pytest.mark.feature("E3")
def test_lint_and_build_and_convert_know_appd(tmp_path: Path) -> None:
    from skerry.cli import root

    source = folder(tmp_path / "source", appd(appDNSRule=[dns("no name")]))
    told = CliRunner().invoke(root, ["lint", str(source), "--json"])
    assert told.exit_code == 5
    assert [fault["path"] for fault in json.loads(told.stdout)["errors"]] == ["appDNSRule/0/domainName"]
    good = folder(tmp_path / "good", appd())
    made = CliRunner().invoke(root, ["package", "build", str(good)])
    assert made.exit_code == 0, made.output
    converted = CliRunner().invoke(root, ["app", "convert", str(tmp_path / "good.csar"), "-o", str(tmp_path / "out")])
    assert converted.exit_code == 0, converted.output
    files = [Path(line) for line in converted.stdout.split()]
    assert isinstance(read(files[0]), VnfPackage)
    back = CliRunner().invoke(root, ["app", "convert", str(files[0]), "-o", str(tmp_path / "back"), "--json"])
    (written,) = json.loads(back.stdout)["files"]
    assert json.loads(Path(written).read_text())["appDId"] == "app-1"


@pytest.mark.feature("E3")
def test_hostile_descriptors_are_refused_and_nothing_else_happens(tmp_path: Path) -> None:
    """Values of other types and other places than expected: always faults, never an exception."""
    chance = random.Random(7)
    junk: tuple[Any, ...] = (None, 1, -1, 2**70, 1.5, "", "x" * 5000, [], {}, [[]], {"a": {}}, True)
    for round in range(150):
        wrong = json.loads(json.dumps(EVERYTHING))
        for _ in range(3):
            _spoil(wrong, chance, junk)
        errors, _, package = lint(folder(tmp_path / str(round), wrong))
        assert errors or isinstance(package, AppPackage)


def _spoil(value: Any, chance: random.Random, junk: tuple[Any, ...]) -> None:
    while isinstance(value, dict | list) and value:
        key: Any = chance.choice(list(value)) if isinstance(value, dict) else chance.randrange(len(value))
        if chance.random() < 0.3 or not isinstance(value[key], dict | list):
            value[key] = chance.choice(junk)
            return
        value = value[key]


SAMPLES = Path(os.environ.get("SKERRY_ETSI") or Path(__file__).parents[2].parent / "shared" / "etsi") / "packages"
OSM = SAMPLES / "16-mec-appd-atnog-osm-mec"


@pytest.mark.skipif(not OSM.is_dir(), reason=f"no public packages in {SAMPLES} (set SKERRY_ETSI)")
@pytest.mark.feature("B62", "B63", "E3")
def test_a_descriptor_that_others_wrote_becomes_a_vnfd_and_an_nsd(tmp_path: Path) -> None:
    """The example of OSM's MEC extension, with what it has as comments: all of its attributes."""
    text = (OSM / "yang" / "appd_example.yaml").read_text()
    package = read(_written(tmp_path / "short", text))
    assert isinstance(package, AppPackage)
    assert (package.appd.app_d_id, package.appd.app_name) == ("dummy-appID", "Dummy App")
    assert package.appd.virtual_compute_descriptor is not None
    assert package.appd.virtual_compute_descriptor.virtual_cpu.num_virtual_cpu == 1
    source = build(tmp_path / "short", tmp_path / "short.csar")
    vnf, ns = build_nfv(source, tmp_path, package.appd)
    machine = read(vnf)
    assert isinstance(machine, VnfPackage)
    (unit,) = machine.vnfd.flavours["default"].vdus.values()
    assert (unit.memory_bytes, unit.vcpus) == (1_024_000_000, 1.0)
    assert isinstance(read(ns), NsPackage)


@pytest.mark.skipif(not OSM.is_dir(), reason=f"no public packages in {SAMPLES} (set SKERRY_ETSI)")
@pytest.mark.feature("E3")
def test_a_helm_chart_that_others_wrote_is_refused_by_its_name(tmp_path: Path) -> None:
    with tarfile.open(OSM / "assets" / "appd-package.tar.gz") as archive:
        member = archive.extractfile("object-detection-appd.yaml")
        assert member is not None
        errors, _, _ = lint(_written(tmp_path, member.read().decode()))
    assert ("missing-attribute", "cannot do without swImageDescriptor") in {(one.code, one.message) for one in errors}


def _written(target: Path, text: str) -> Path:
    (target / "Definitions").mkdir(parents=True)
    (target / "Definitions" / "appd.yaml").write_text(text)
    return target


@pytest.mark.feature("E3")
def test_the_form_of_osm_is_read_with_all_its_names(tmp_path: Path) -> None:
    whole = """\
mec-appd:
  id: one
  name: one
  provider: Test
  soft-version: "1"
  version: "1.0"
  mec-version: "3.1.1"
  description: a test
  virtual-compute: {id: c, virtual-memory: {mem-size: 64}, virtual-cpu: {cpu-count: 1}}
  sw-image: {id: i, name: i, version: "1", container-format: BARE, sw-image: "host:sh"}
  ext-cpd: [{id: web, layer-protocol: [IPV4]}]
  service-required: [{name: rni, version: "2"}]
  feature-optional: [{name: UserApps, version: "1"}]
  traffic-rule:
    - id: t
      filter-type: FLOW
      priority: 3
      traffic-filter: [{id: f, dst-address: "192.0.2.1", qci: 5}]
      action: DROP
      dst-interface: [{id: d, interface-type: IP, dst-ip-address: web}]
  dns-rule: [{id: d, domain-name: a.example, ip-address-type: IP_V4, ip-address: web}]
  latency: {max-latency: 100}
  network-policy: {steered-network: {wifi-network: true}}
"""
    package = read(_written(tmp_path / "good", whole))
    assert isinstance(package, AppPackage)
    appd_ = package.appd
    assert appd_.app_traffic_rule[0].traffic_filter[0].q_ci == 5
    assert appd_.app_traffic_rule[0].dst_interface is not None
    assert appd_.app_traffic_rule[0].dst_interface.dst_ip_address == "web"
    assert (appd_.app_service_required[0].ser_name, appd_.app_dns_rule[0].dns_rule_id) == ("rni", "d")
    assert appd_.app_network_policy is not None
    assert appd_.app_network_policy.steered_network.wifi_network
    errors, _, _ = lint(_written(tmp_path / "bad", whole.replace("priority: 3", "priority: 300")))
    (fault,) = errors
    assert (fault.path, fault.line) == ("appTrafficRule/0/priority", 17)
