"""Packages of our own for the tests of the readers: a SIP client and server, and a service of both."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

TYPES = """\
tosca_definitions_version: tosca_simple_yaml_1_3
imports:
  - https://forge.etsi.org/rep/nfv/SOL001/raw/v4.2.1/etsi_nfv_sol001_vnfd_types.yaml
node_types:
  acme.Container:
    derived_from: tosca.nodes.nfv.Vdu.OsContainer
    properties:
      boot_data: {type: tosca.datatypes.nfv.BootData, required: false}
  acme.SippServer:
    derived_from: tosca.nodes.nfv.VNF
    metadata:
      provides: [address]
    properties:
      provider: {type: string, default: Acme}
      vnfm_info: {type: list, entry_schema: {type: string}, default: ['1:skerry']}
    requirements:
      - virtual_link_sip: {capability: tosca.capabilities.nfv.VirtualLinkable, occurrences: [0, 1]}
    interfaces:
      Vnflcm:
        type: tosca.interfaces.nfv.Vnflcm
"""

SERVER = """\
tosca_definitions_version: tosca_simple_yaml_1_3
description: SIP server
imports:
  - types.yaml
topology_template:
  inputs:
    rate: {type: integer, default: 5}
    domain: {type: string}
  substitution_mappings:
    node_type: acme.SippServer
    properties: {flavour_id: small}
    requirements:
      virtual_link_sip: [sip, virtual_link]
  node_templates:
    VNF:
      type: acme.SippServer
      properties:
        descriptor_id: sipp-server
        descriptor_version: 1.10
        product_name: sipp-server
        software_version: '3.6'
        flavour_id: small
        flavour_description: one server
      interfaces:
        Vnflcm:
          operations:
            instantiate_end:
              implementation: ../Scripts/configure.sh
              inputs:
                arguments: [{get_input: rate}, fast]
                vdus: [server]
                timeout: 5 s
                domain: {get_input: domain}
                peer: {get_attribute: [client, address]}
    server:
      type: tosca.nodes.nfv.Vdu.OsContainerDeployableUnit
      properties:
        name: server
        description: answers calls
        vdu_profile: {min_number_of_instances: 1, max_number_of_instances: 4}
      requirements:
        - container: box
        - dependency: helper
    box:
      type: acme.Container
      properties:
        name: box
        description: container
        cpu_resource_limit: 500
        requested_memory_resources: 32 MiB
        memory_resource_limit: 64 MiB
        boot_data:
          kvp_data:
            data: {RATE: {get_input: rate}, MODE: uas}
          content_or_file_data:
            content: {concat: ['rate=', {get_input: rate}]}
            destination_path: /etc/sipp.conf
          vim_specific_properties:
            vim_type: container
            properties:
              CMD: "sipp -sn uas -i 'a b'"
              PUBLISH: '5060:5060/udp, 80:8080'
              EXPOSE: '9'
              ALIASES: [sip.example]
              DNS: 10.0.0.53
              HOSTNAME: {get_property: [SELF, name]}
              VOLUMES: '/var/log:/logs:ro'
              RESTART_POLICY_CONDITION: on-failure
              CAPABILITIES: NET_ADMIN,SYS_ADMIN
              READ_ONLY: true
              PIDS: 64
              CONSTRAINTS: 'node.role==edge'
              EXTRA: 7
      artifacts:
        sw_image:
          type: tosca.artifacts.nfv.SwImage
          file: host:sipp,busybox
          properties:
            {name: sipp, version: '3.6', container_format: docker, checksum: {algorithm: sha-256, hash: ab}, size: 1 MB}
    helper:
      type: tosca.nodes.nfv.Vdu.Compute
      properties:
        name: helper
        description: virtual machine
        vdu_profile: {min_number_of_instances: 1, max_number_of_instances: 1}
      capabilities:
        virtual_compute:
          properties:
            virtual_memory: {virtual_mem_size: 1 GiB}
            virtual_cpu: {num_virtual_cpu: 2}
            virtual_local_storage: [{size_of_storage: 2 GB}]
      artifacts:
        sw_image:
          type: tosca.artifacts.nfv.SwImage
          file: ../Files/images/helper.img
    sip:
      type: tosca.nodes.nfv.VduCp
      properties:
        layer_protocols: [ipv4]
        order: 1
        protocol:
          - associated_layer_protocol: ipv4
            address_data:
              - address_type: ip_address
                l3_address_data: {ip_address_assignment: false, floating_ip_activated: false, fixed_ip_address: [10.1.0.9]}
      requirements:
        - virtual_binding: server
    inner:
      type: tosca.nodes.nfv.VduCp
      properties: {layer_protocols: [ipv4], order: 0, bitrate_requirement: 1000000}
      requirements:
        - virtual_binding: server
        - virtual_link: lan
    lan:
      type: tosca.nodes.nfv.VnfVirtualLink
      properties:
        connectivity_type: {layer_protocols: [ipv4], flow_pattern: mesh}
        vl_profile:
          max_bitrate_requirements: {root: 8000000}
          min_bitrate_requirements: {root: 0}
          virtual_link_protocol_data:
            - associated_layer_protocol: ipv4
              l2_protocol_data: {mtu: 1400}
              l3_protocol_data: {ip_version: ipv4, cidr: 10.9.0.0/24, gateway_ip: 10.9.0.1, dhcp_enabled: true}
  groups:
    both:
      type: tosca.groups.nfv.PlacementGroup
      members: [server, helper]
  policies:
    - aspects:
        type: tosca.policies.nfv.ScalingAspects
        properties:
          aspects:
            calls: {name: calls, description: more servers, max_scale_level: 3, step_deltas: [one, two]}
    - start:
        type: tosca.policies.nfv.VduInitialDelta
        properties: {initial_delta: {number_of_instances: 1}}
        targets: [server]
    - steps:
        type: tosca.policies.nfv.VduScalingAspectDeltas
        properties:
          aspect: calls
          deltas: {two: {number_of_instances: 2}, one: {number_of_instances: 1}}
        targets: [server]
    - levels:
        type: tosca.policies.nfv.InstantiationLevels
        properties:
          levels:
            least: {description: least, scale_info: {calls: {scale_level: 0}}}
            most: {description: most, scale_info: {calls: {scale_level: 3}}}
          default_level: least
    - apart:
        type: tosca.policies.nfv.AntiAffinityRule
        properties: {scope: nfvi_node}
        targets: [both]
    - interface:
        type: tosca.policies.nfv.SupportedVnfInterface
        properties: {interface_name: vnf_configuration}
        targets: [sip]
"""

SERVICE = """\
tosca_definitions_version: tosca_simple_yaml_1_3
description: SIP calls
imports:
  - etsi_nfv_sol001_nsd_types.yaml
node_types:
  acme.Sip:
    derived_from: tosca.nodes.nfv.NS
  acme.Server:
    derived_from: tosca.nodes.nfv.VNF
    requirements:
      - virtual_link_sip: {capability: tosca.capabilities.nfv.VirtualLinkable}
  acme.Client:
    derived_from: tosca.nodes.nfv.VNF
    properties:
      server_address: {type: string, required: false}
      configurable_properties: {type: map, required: false}
    requirements:
      - virtual_link_sip: {capability: tosca.capabilities.nfv.VirtualLinkable}
topology_template:
  inputs:
    rate: {type: integer, default: 10}
  node_templates:
    NS:
      type: acme.Sip
      properties: {descriptor_id: sip-ns, designer: Acme, version: '1.0', name: sip, invariant_id: sip, flavour_id: small}
    server:
      type: acme.Server
      properties:
        descriptor_id: sipp-server
        flavour_id: small
        vnf_profile: {instantiation_level: least, min_number_of_instances: 1, max_number_of_instances: 2}
      requirements:
        - virtual_link_sip: sipnet
    client:
      type: acme.Client
      properties:
        descriptor_id: sipp-client
        server_address: {get_attribute: [server, address]}
        configurable_properties: {rate: {get_input: rate}}
      requirements:
        - virtual_link_sip: {node: sipnet}
    monitor:
      type: acme.Client
      properties: {descriptor_id: monitor}
      requirements:
        - dependency: {node: client, relationship: {type: tosca.relationships.DependsOn, properties: {parameters: [rate]}}}
    sipnet:
      type: tosca.nodes.nfv.NsVirtualLink
      properties:
        connectivity_type: {layer_protocols: [ipv4]}
        vl_profile:
          max_bitrate_requirements: {root: 10000000}
          min_bitrate_requirements: {root: 0}
          virtual_link_protocol_data:
            - {associated_layer_protocol: ipv4, l3_protocol_data: {ip_version: ipv4, cidr: 10.1.0.0/24}}
    outside:
      type: tosca.nodes.nfv.Sap
      properties: {layer_protocols: [ipv4]}
      requirements:
        - internal_virtual_link: sipnet
  policies:
    - scaling:
        type: tosca.policies.nfv.NsScalingAspects
        properties:
          aspects:
            clients: {name: clients, description: more, ns_scale_levels: {0: {description: one}, 1: {description: two}}}
    - mapping:
        type: tosca.policies.nfv.VnfToLevelMapping
        properties: {aspect: clients, number_of_instances: {0: 1, 1: 2}}
        targets: [client]
    - levels:
        type: tosca.policies.nfv.NsInstantiationLevels
        properties: {ns_levels: {low: {description: low}, high: {description: high}}, default_level: low}
    - numbers:
        type: tosca.policies.nfv.VnfToInstantiationLevelMapping
        properties: {number_of_instances: {low: 1, high: 3}}
        targets: [client]
"""

SCRIPT = "#!/bin/sh\necho configured\n"
META = "TOSCA-Meta-File-Version: 1.1\nCSAR-Version: 1.1\nCreated-By: acme\nEntry-Definitions: Definitions/server.yaml\n"


def server_files() -> dict[str, str]:
    """The files of the server's package."""
    return {
        "TOSCA-Metadata/TOSCA.meta": META,
        "Definitions/server.yaml": SERVER,
        "Definitions/types.yaml": TYPES,
        "Scripts/configure.sh": SCRIPT,
        "Files/images/helper.img": "an image",
        "Files/Licenses/LICENSE.txt": "free",
        "ChangeLog.txt": "first",
        "Files/Tests/test.sh": "true",
        "server.cert": "a certificate",
    }


def zipped(files: dict[str, str | bytes]) -> bytes:
    """A zip file of these files."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return stream.getvalue()


def written(folder: Path, files: dict[str, str]) -> Path:
    """The files in a folder."""
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    return folder


def service_zip(text: str = SERVICE) -> bytes:
    """The service as a CSAR of one YAML file."""
    return zipped({"service.yaml": text})


def vnfd_zip(text: str = SERVER, **more: str) -> bytes:
    """The server's package with another template."""
    return zipped({**server_files(), "Definitions/server.yaml": text, **more})
