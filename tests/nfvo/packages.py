"""The packages of these tests, in the short form of `tests.vnfm.builder`."""

from __future__ import annotations

SERVER = """
id: server
vdus: {box: {nics: {sip: ext}, cmd: [serve]}}
aspects: {more: {max: 2, deltas: {box: [1]}}}
provides: {address: {get_attribute: [sip, ip_address]}, port: 5060}
scripts: {instantiate_end: {run: echo server}}
"""

CLIENT = """
id: client
vdus:
  box:
    nics: {sip: ext}
    env: {TARGET: {get_property: [SELF, configurable_properties, target]}}
    files: {/etc/target: {get_property: [SELF, configurable_properties, target]}}
properties: {rate: 10}
requires: {server: [address, port]}
aspects: {more: {max: 3, deltas: {box: [1]}}}
levels: {one: {more: 0}, two: {more: 1}}
scripts: {instantiate_end: {run: echo client, args: [{get_property: [SELF, configurable_properties, target]}]}}
"""

PROBE = "{id: probe, vdus: {box: {nics: {tap: ext}}}, properties: {seen: nothing}, requires: {server: [address]}}"
"""A third VNF, which wants to know the server too."""

SIP = """
id: sip
vnfs:
  server: {vnfd: server, links: {sip: net}}
  client: {vnfd: client, links: {sip: net}, level: one, values: {target: {get_attribute: [server, sip, ip_address]}}}
  probe: {vnfd: probe, links: {tap: net}, count: 0}
links: {net: 10.70.0.0/24}
aspects: {size: {server: [1, 2], client: [1, 3]}}
levels: {start: {server: 1, client: 1, probe: 0}}
"""

VNFS = (SERVER, CLIENT, PROBE)

APART = """
id: apart
vnfs: {a: {vnfd: probe, links: {tap: left}}, b: {vnfd: probe, links: {tap: right}}}
links: {left: '', right: ''}
"""
"""Two VNFs that have nothing to do with each other."""

RING = """
id: ring
cyclic: true
vnfs: {a: {vnfd: east, links: {pe: net}}, b: {vnfd: west, links: {pw: net}}}
links: {net: 10.71.0.0/24}
"""
EAST = """
id: east
vdus: {box: {nics: {pe: ext}}}
provides: {here: {get_attribute: [pe, ip_address]}}
requires: {west: [here]}
"""
WEST = (
    EAST.replace("west", "WEST")
    .replace("east", "west")
    .replace("WEST", "east")
    .replace("pe:", "pw:")
    .replace("[pe,", "[pw,")
)
