"""Descriptors: what packages declare, whatever language they were written in.

Readers in `skerry.packages` make these; the life-cycle plans from them. Attribute names are those of ETSI GS NFV-IFA 011
(VNFD) and IFA 014 (NSD); the SOL001 clause of each is in brackets. Sizes are bytes, bandwidths bit/s, CPU in vCPUs
(1.0 = one whole virtual CPU), times seconds.

An attribute typed `Expression` may hold a TOSCA function that can only be answered at run time, kept as its JSON object:
`{"get_attribute": [NODE, ATTRIBUTE…]}` or `{"get_input": NAME}` or `{"concat": […]}` or `{"get_property": [NODE, NAME…]}`;
everything else is a plain value.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

Expression = Any
"""A JSON value in which TOSCA functions may stand (see the module's text)."""


class Part(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Base of all parts of descriptors."""


class SoftwareImage(Part, frozen=True):
    """SwImageDesc [`tosca.artifacts.nfv.SwImage`]. `source` is a path inside the package, or `host:…`, `docker://…`."""

    name: str
    source: str
    version: str = ""
    checksum: str = ""
    checksum_algorithm: str = ""
    container_format: str = ""
    disk_format: str = ""
    min_disk_bytes: int = 0
    min_ram_bytes: int = 0
    size_bytes: int = 0


class BootFile(Part, frozen=True):
    """A file to write before the first start. `content` may hold functions; `source` is a path inside the package."""

    path: str
    content: Expression = ""
    source: str = ""
    mode: int = 0o644


class MonitoringParameter(Part, frozen=True):
    """MonitoringParameter of a VNF, VDU or NS: what to measure, how often (seconds)."""

    id: str
    name: str = ""
    performance_metric: str = ""
    collection_period_s: float = 0.0


class Vdu(Part, frozen=True):
    """A VDU [`tosca.nodes.nfv.Vdu.Compute`, `…Vdu.OsContainerDeployableUnit` with its `…Vdu.OsContainer`].

    `env`, `command`, `files` come from `boot_data` (key-value data → env; content or file data → files) and from
    `vim_specific_properties` (CMD, ENV … of row A83). `options` holds what of it belongs to one driver type only.
    `cps` names the internal connection points in the order in which the instance sees its interfaces. `function` is a Click
    configuration that does the same as `image`, for places with room for no more.
    """

    id: str
    name: str = ""
    description: str = ""
    image: SoftwareImage | None = None
    function: SoftwareImage | None = None
    vcpus: float = 0.0
    memory_bytes: int = 0
    storage_bytes: int = 0
    pids: int = 0
    command: tuple[Expression, ...] = ()
    env: Mapping[str, Expression] = {}
    files: tuple[BootFile, ...] = ()
    hostname: Expression = ""
    cps: tuple[str, ...] = ()
    capabilities: tuple[str, ...] = ()
    dns: tuple[str, ...] = ()
    mounts: tuple[Mapping[str, Any], ...] = ()  # source, target, read_only
    ports: tuple[Mapping[str, Any], ...] = ()  # host, instance, protocol
    aliases: tuple[str, ...] = ()
    restart: bool = False
    read_only: bool = False
    grace_s: float = 10.0
    options: Mapping[str, Any] = {}
    min_instances: int = 1  # vdu_profile
    max_instances: int = 1
    standby: int = 0  # instances beside those, stopped, that stand in for one that fails
    depends_on: tuple[str, ...] = ()  # VDUs that must run first
    monitoring_parameters: tuple[MonitoringParameter, ...] = ()


class ConnectionPoint(Part, frozen=True):
    """A VduCp or VnfExtCp. `virtual_link` is the internal VL it is on; `external` names the VnfExtCp that exposes it.

    `order` sorts the interfaces of a VDU. `fixed_ip` and `mac` come from the address data of the CP protocol data.
    """

    id: str
    vdu: str = ""
    virtual_link: str = ""
    external: str = ""
    order: int = 0
    layer_protocols: tuple[str, ...] = ("ipv4",)
    role: str = ""
    description: str = ""
    fixed_ip: Expression = ""
    mac: Expression = ""
    bitrate_bps: int = 0
    trunk_mode: bool = False


class VirtualLink(Part, frozen=True):
    """VnfVirtualLink or NsVirtualLink. `cidr` comes from the L3 protocol data; `max_bitrate_bps` from its profile."""

    id: str
    description: str = ""
    flow_pattern: str = ""
    layer_protocols: tuple[str, ...] = ("ipv4",)
    cidr: str = ""
    gateway: str = ""
    mtu: int = 1500
    dhcp: bool = False
    dns: tuple[str, ...] = ()
    max_bitrate_bps: int = 0
    external_network: str = ""  # name of a network that exists on the VIM, if the link maps to one


class InstantiationLevel(Part, frozen=True):
    """InstantiationLevel: `scale_info` is scaling aspect → scale level; `vdu_levels` VDU → number of instances."""

    id: str
    description: str = ""
    scale_info: Mapping[str, int] = {}
    vdu_levels: Mapping[str, int] = {}


class ScalingAspect(Part, frozen=True):
    """ScalingAspect with its deltas. `deltas[vdu]` lists how many instances of it each step adds (the last repeats)."""

    id: str
    name: str = ""
    description: str = ""
    max_scale_level: int = 0
    initial: Mapping[str, int] = {}  # vdu -> instances at scale level 0 (VduInitialDelta)
    deltas: Mapping[str, tuple[int, ...]] = {}  # vdu -> instances added by step 1, 2 …
    cooldown_s: float = 0.0


class LcmScript(Part, frozen=True):
    """An operation of the `Vnflcm` interface with an implementation: a script of the package that runs inside instances.

    `event` is the operation's name, such as `instantiate_end`. `inputs` are handed over as environment and as
    `--name=value` arguments when `arguments` names them in order. `vdus` empty = every VDU.
    """

    event: str
    artifact: str
    inputs: Mapping[str, Expression] = {}
    arguments: tuple[Expression, ...] = ()
    vdus: tuple[str, ...] = ()
    timeout_s: float = 60.0


class IndicatorDescription(Part, frozen=True):
    """VnfIndicator of the VNFD. `source` is vnf, em or both_vnf_and_em. `script` prints its value inside an instance; without
    one it is a measurement of that name, or the VNF or its EM tells it."""

    id: str
    name: str = ""
    description: str = ""
    source: str = "vnf"
    script: LcmScript | None = None


class AffinityRule(Part, frozen=True):
    """(Anti-)affinity of VDUs or VNFs. `scope` is nfvi_node, zone, zone_group, nfvi_pop, network_link_and_node."""

    id: str
    targets: tuple[str, ...]
    scope: str = "nfvi_node"
    anti: bool = False


class InputParameter(Part, frozen=True):
    """A `topology_template` input. `required` and without default: the request must give it."""

    name: str
    type: str = "string"
    description: str = ""
    default: Any = None
    required: bool = False


class DeploymentFlavour(Part, frozen=True):
    """VnfDf: one service template of the package with substitution mappings for this `flavour_id`."""

    id: str
    description: str = ""
    vdus: Mapping[str, Vdu] = {}
    cps: Mapping[str, ConnectionPoint] = {}
    ext_cps: Mapping[str, ConnectionPoint] = {}
    virtual_links: Mapping[str, VirtualLink] = {}
    instantiation_levels: Mapping[str, InstantiationLevel] = {}
    default_instantiation_level_id: str = ""
    scaling_aspects: Mapping[str, ScalingAspect] = {}
    affinity: tuple[AffinityRule, ...] = ()
    scripts: Mapping[str, LcmScript] = {}
    inputs: Mapping[str, InputParameter] = {}
    monitoring_parameters: tuple[MonitoringParameter, ...] = ()
    supported_operations: tuple[str, ...] = ()
    indicators: Mapping[str, IndicatorDescription] = {}
    coordinations: Mapping[str, tuple[str, ...]] = {}  # LCM operation -> coordination actions of the VNF


class Vnfd(Part, frozen=True):
    """VNFD. `provides` are the values that others may use (name → value or function); `requires` maps the product name
    or node type of another VNF to the values that this one needs of it (row A52): an automatic NSD dependency."""

    id: str
    provider: str
    product_name: str
    software_version: str
    version: str
    vnfm_info: tuple[str, ...] = ()
    name: str = ""
    description: str = ""
    node_type: str = ""
    ext_invariant_id: str = ""
    localization_languages: tuple[str, ...] = ()
    configurable_properties: Mapping[str, Any] = {}
    extensions: Mapping[str, Any] = {}
    metadata: Mapping[str, Any] = {}
    flavours: Mapping[str, DeploymentFlavour] = {}
    default_flavour: str = ""
    provides: Mapping[str, Expression] = {}
    requires: Mapping[str, tuple[str, ...]] = {}


class VnfProfile(Part, frozen=True):
    """A VNF node of the NSD: which VNFD, how many, on which virtual links, with which values.

    `links` maps the VNF's external CP (requirement name) to the NS virtual link. `properties` are values for the VNF's
    configurable properties and inputs, where functions may ask for attributes of other VNFs of the NS.
    """

    id: str
    vnfd_id: str
    flavour_id: str = ""
    instantiation_level: str = ""
    min_instances: int = 1
    max_instances: int = 1
    links: Mapping[str, str] = {}
    properties: Mapping[str, Expression] = {}
    node_type: str = ""


class NsProfile(Part, frozen=True):
    """NsProfile: a nested NS node of the NSD. `links` maps its requirement to the virtual link of the composite NS."""

    id: str
    nsd_id: str
    flavour_id: str = ""
    instantiation_level: str = ""
    min_instances: int = 1
    max_instances: int = 1
    links: Mapping[str, str] = {}


class PnfProfile(Part, frozen=True):
    """A PNF node of the NSD: which PNFD. `links` maps its external CP (requirement name) to the NS virtual link."""

    id: str
    pnfd_id: str
    links: Mapping[str, str] = {}


class VnfDependency(Part, frozen=True):
    """`target` starts only after `source` is there, and receives `parameters` of it (empty: all that it provides)."""

    source: str
    target: str
    parameters: tuple[str, ...] = ()


class NsScalingAspect(Part, frozen=True):
    """An NS scaling aspect: `vnf_counts[n]` is VNF or NS profile → number of instances at level n."""

    id: str
    name: str = ""
    description: str = ""
    max_scale_level: int = 0
    vnf_counts: tuple[Mapping[str, int], ...] = ()


class NsLevel(Part, frozen=True):
    """NsLevel: VNF or NS profile → number of instances."""

    id: str
    description: str = ""
    vnf_counts: Mapping[str, int] = {}


class Sap(Part, frozen=True):
    """Service access point: where the NS is reached from outside. `addresses` and `mac` are those that whoever is connected
    there has; a descriptor names none. `external` is the requirement by which a composite NS connects it."""

    id: str
    virtual_link: str = ""
    description: str = ""
    addresses: tuple[str, ...] = ()
    mac: str = ""
    external: str = ""


PROTOCOLS = {"icmp": 1, "igmp": 2, "tcp": 6, "udp": 17, "gre": 47, "esp": 50, "ah": 51, "ipv6-icmp": 58, "sctp": 132}
"""Keywords of the protocol registry that are understood; a number does for the others."""


class NfpRule(Part, frozen=True):
    """NfpRule (SOL001 7.10.4): which traffic takes a path. All that is given must hold; empty is "any".

    `ether_type` is ipv4 or ipv6, `protocol` a keyword of IANA's registry or a number, `dscp` -1 for any.
    """

    id: str
    ether_source_address: str = ""
    ether_destination_address: str = ""
    ether_type: str = ""
    vlan_tag: int = -1
    protocol: str = ""
    dscp: int = -1
    source_port_range: tuple[int, int] | None = None
    destination_port_range: tuple[int, int] | None = None
    source_ip_address_prefix: str = ""
    destination_ip_address_prefix: str = ""


class NfpElement(Part, frozen=True):
    """NfpPositionElement: a VNF (or SAP) of the path. Traffic enters it at the CP `ingress` and leaves it at `egress` (the same
    where only one is named); a CP is "" where the VNF has just one."""

    id: str
    profile: str
    ingress: str = ""
    egress: str = ""
    is_sap: bool = False


class NfpPosition(Part, frozen=True):
    """NfpPosition: one stop of the path, served by its elements. `forwarding_behaviour` is all (each gets a copy), lb (they
    share the flows) or ff (the first that is there)."""

    id: str
    elements: tuple[NfpElement, ...]
    forwarding_behaviour: str = "lb"


class Nfp(Part, frozen=True):
    """Network forwarding path: from where traffic comes (the first position), through functions, to where it goes (the
    last).

    `traffic` is the traffic rule (MEC 011 7.1.2.2) that the path stands for, where an orchestrator of applications asked for
    it: then its traffic comes from wherever users are, and its positions are those of the application, if it leads there.
    """

    id: str
    positions: tuple[NfpPosition, ...]
    rules: tuple[NfpRule, ...] = ()
    traffic: Mapping[str, Any] = {}


class Vnffg(Part, frozen=True):
    """VNFFGD (IFA014 6.4): forwarding paths, with the VNFs and virtual links that they need."""

    id: str
    description: str = ""
    nfps: Mapping[str, Nfp] = {}
    profiles: tuple[str, ...] = ()
    virtual_links: tuple[str, ...] = ()


class NsDeploymentFlavour(Part, frozen=True):
    """NsDf."""

    id: str
    description: str = ""
    vnf_profiles: Mapping[str, VnfProfile] = {}
    nested_profiles: Mapping[str, NsProfile] = {}
    pnf_profiles: Mapping[str, PnfProfile] = {}
    virtual_links: Mapping[str, VirtualLink] = {}
    saps: Mapping[str, Sap] = {}
    vnffgs: Mapping[str, Vnffg] = {}
    dependencies: tuple[VnfDependency, ...] = ()
    scaling_aspects: Mapping[str, NsScalingAspect] = {}
    levels: Mapping[str, NsLevel] = {}
    default_level_id: str = ""
    affinity: tuple[AffinityRule, ...] = ()
    inputs: Mapping[str, InputParameter] = {}
    monitoring_parameters: tuple[MonitoringParameter, ...] = ()


class Nsd(Part, frozen=True):
    """NSD. `cyclic_dependencies` allows cycles among the dependencies (row A53); without it they are refused."""

    id: str
    designer: str
    version: str
    name: str
    invariant_id: str = ""
    description: str = ""
    cyclic_dependencies: bool = False
    vnfd_ids: tuple[str, ...] = ()
    pnfd_ids: tuple[str, ...] = ()
    nested_nsd_ids: tuple[str, ...] = ()
    flavours: Mapping[str, NsDeploymentFlavour] = {}
    default_flavour: str = ""


class Artifact(Part, frozen=True):
    """A file of a package: path inside it, digest (lower-case hex) and what it is for."""

    path: str
    size_bytes: int = 0
    checksum: str = ""
    checksum_algorithm: str = ""
    kind: str = ""  # image, script, licence, changelog, test, certificate, other


class PackageSignature(Part, frozen=True):
    """How a package is secured (SOL004 and SOL007 clause 5.1).

    `option` 1: its manifest is signed; 2: it came in a zip file with a signature of the whole; 0: it is not signed. `signer`
    is the subject (RFC 4514); `verified` says that content and signer were checked and the signer leads to an authority
    that the node trusts; if not, `warning` says why. `certificate` is the signing certificate (PEM) where the package
    has it as a file.
    """

    option: int = 0
    signer: str = ""
    verified: bool = False
    warning: str = ""
    certificate: str = ""


class VnfPackage(Part, frozen=True):
    """What a SOL004 package with a VNFD says. `templates` are the merged service templates, from which
    `skerry.packages.bind` makes the VNFD again with the inputs of one request."""

    vnfd: Vnfd
    artifacts: tuple[Artifact, ...] = ()
    manifest: Mapping[str, str] = {}
    templates: Any = None
    signature: PackageSignature = PackageSignature()


class Pnfd(Part, frozen=True):
    """PNFD (SOL001 clause 8): a physical function is not deployed, only connected; an NSD names it."""

    id: str
    name: str
    version: str
    provider: str
    invariant_id: str = ""
    description: str = ""
    ext_cps: Mapping[str, ConnectionPoint] = {}


class PnfPackage(Part, frozen=True):
    """What a SOL007 package with a PNFD says."""

    pnfd: Pnfd
    artifacts: tuple[Artifact, ...] = ()
    manifest: Mapping[str, str] = {}
    signature: PackageSignature = PackageSignature()


class NsPackage(Part, frozen=True):
    """What a SOL007 (or SOL004-shaped) package with an NSD says."""

    nsd: Nsd
    artifacts: tuple[Artifact, ...] = ()
    manifest: Mapping[str, str] = {}
    templates: Any = None
    signature: PackageSignature = PackageSignature()
