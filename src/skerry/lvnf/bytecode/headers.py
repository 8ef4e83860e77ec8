"""The code of elements for link headers: stripping, Ethernet, VLAN tags, ARP."""

from __future__ import annotations

from collections.abc import Mapping
from typing import cast

from skerry.dataplane.ebpf.assembler import FP, R1, R2, R3, R4, R7, R8, Jump
from skerry.dataplane.ebpf.layout import big
from skerry.lvnf import configs
from skerry.lvnf.bytecode.coder import FURTHEST, SPACE, Coder, Write
from skerry.lvnf.graph import Element

_ADDRESSES = 12
_ARP_LENGTH = 42
_ARP_REQUEST = b"\x08\x06\x00\x01\x08\x00\x06\x04\x00\x01"


def strip(coder: Coder, element: Element, _: int) -> None:
    """The packet starts later, at most at its end."""
    asm, whole, done = coder.asm, coder.asm.label("long_enough"), coder.asm.label("stripped")
    size = cast("configs.Strip", element.config).length
    coder.length(R1)
    asm.jump_if(Jump.GE, R1, size, whole)
    coder.ahead(R1)
    asm.jump(done)
    asm.place(whole)
    asm.add(R8, size)
    asm.jump_if(Jump.GT, R8, FURTHEST, coder.drop)
    asm.place(done)
    coder.go(element.name)


def unstrip(coder: Coder, element: Element, _: int) -> None:
    """The packet starts earlier."""
    if size := cast("configs.Unstrip", element.config).length:
        coder.prepend(element, size)
    coder.go(element.name)


def ether_encap(coder: Coder, element: Element, _: int) -> None:
    """A header in front."""
    config = cast("configs.EtherEncap", element.config)
    coder.prepend(element, 14)
    coder.put(0, config.dst + config.src + config.ethertype.to_bytes(2, "big"))
    coder.go(element.name)


def vlan_encap(coder: Coder, element: Element, _: int) -> None:
    """The addresses move to make room for the tag."""
    config = cast("configs.VLANEncap", element.config)
    coder.window(_ADDRESSES, coder.drop)
    coder.prepend(element, 4)
    coder.window(_ADDRESSES + 4, coder.drop)
    for part in range(0, _ADDRESSES, 4):
        coder.asm.load(4, R1, R7, part + 4)
        coder.asm.store(4, R7, part, R1)
    tag = config.ethertype << 16 | config.pcp << 13 | config.vlan_id
    coder.put(_ADDRESSES, tag.to_bytes(4, "big"))
    coder.go(element.name)


def vlan_decap(coder: Coder, element: Element, _: int) -> None:
    """The addresses move over the tag."""
    asm, untagged = coder.asm, coder.asm.label("untagged")
    coder.window(16, untagged)
    asm.load(2, R1, R7, _ADDRESSES)
    asm.jump_if(Jump.NE, R1, big(0x8100), untagged)
    for part in range(8, -1, -4):
        asm.load(4, R1, R7, part)
        asm.store(4, R7, part + 4, R1)
    asm.add(R8, 4)
    asm.place(untagged)
    coder.go(element.name)


def ether_mirror(coder: Coder, element: Element, _: int) -> None:
    """Exchange the addresses."""
    asm = coder.asm
    coder.window(_ADDRESSES, coder.drop)
    for width, at in ((4, 0), (2, 4)):
        asm.load(width, R1, R7, at)
        asm.load(width, R2, R7, at + 6)
        asm.store(width, R7, at + 6, R1)
        asm.store(width, R7, at, R2)
    coder.go(element.name)


def ether_rewrite(coder: Coder, element: Element, _: int) -> None:
    """Replace the addresses."""
    config = cast("configs.EtherRewrite", element.config)
    coder.window(_ADDRESSES, coder.drop)
    coder.put(0, config.dst + config.src)
    coder.go(element.name)


def arp_responder(coder: Coder, element: Element, _: int) -> None:
    """The request becomes the reply; the entry with the longest prefix decides."""
    asm, name = coder.asm, element.name
    other, found = coder.out(name, 1), asm.label("answered")
    coder.window(_ARP_LENGTH, other)
    for at in range(0, 8, 4):
        asm.load(4, R1, R7, _ADDRESSES + at)
        asm.jump_if(Jump.NE, R1, int.from_bytes(_ARP_REQUEST[at : at + 4], "little"), other, width=4)
    asm.load(2, R1, R7, 20)
    asm.jump_if(Jump.NE, R1, big(1), other)
    asm.load(4, R4, R7, 38)
    asm.to_big(R4, 32)
    mac = SPACE
    entries = cast("configs.ARPResponder", element.config).entries
    for entry in sorted(entries, key=lambda one: -one.prefix):
        following = asm.label("next_entry")
        mask = (1 << 32) - (1 << (32 - entry.prefix))
        asm.mov(R1, R4)
        asm.and_(R1, mask, width=4)
        asm.jump_if(Jump.NE, R1, int.from_bytes(entry.network, "big") & mask, following, width=4)
        coder.put(mac, entry.mac, base=FP)
        asm.jump(found)
        asm.place(following)
    asm.jump(other)
    asm.place(found)
    _arp_reply(coder, mac)
    asm.mov(R3, _ARP_LENGTH)
    coder.trim(R3)
    coder.go(name)


def _arp_reply(coder: Coder, mac: int) -> None:
    """Target becomes sender; the hardware address is on the stack."""
    asm = coder.asm
    asm.load(4, R4, R7, 38)
    asm.load(4, R3, R7, 28)
    coder.move((R7, 22), (R7, 0), 6)
    coder.move((R7, 22), (R7, 32), 6)
    asm.store(4, R7, 38, R3)
    asm.store(4, R7, 28, R4)
    asm.store(2, R7, 20, big(2))
    for at in (6, 22):
        asm.load(4, R1, FP, mac)
        asm.store(4, R7, at, R1)
        asm.load(2, R1, FP, mac + 4)
        asm.store(2, R7, at + 4, R1)


WRITERS: Mapping[str, Write] = {
    "Strip": strip,
    "Unstrip": unstrip,
    "EtherEncap": ether_encap,
    "VLANEncap": vlan_encap,
    "VLANDecap": vlan_decap,
    "EtherMirror": ether_mirror,
    "EtherRewrite": ether_rewrite,
    "ARPResponder": arp_responder,
}
