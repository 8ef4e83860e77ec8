"""In which forms a VDU can be: a container (or machine), a micro network function, or either. Pure."""

from __future__ import annotations

import msgspec

from skerry.lvnf.described import SUFFIX
from skerry.model.descriptors import SoftwareImage, Vdu
from skerry.placement.solve import CONTAINER, FUNCTION

FUNCTION_BYTES = 8 << 20
"""The memory of a function whose image does not say how much it takes."""


def is_function(image: SoftwareImage | None) -> bool:
    """Whether an image is a Click configuration."""
    return image is not None and image.source.endswith(SUFFIX)


def forms(vdu: Vdu) -> tuple[str, ...]:
    """Its forms, the preferred first."""
    if is_function(vdu.image):
        return (FUNCTION,)
    return (CONTAINER, FUNCTION) if vdu.function else (CONTAINER,)


def function_bytes(vdu: Vdu) -> int:
    """The memory that it takes as a function."""
    image = vdu.image if is_function(vdu.image) else vdu.function
    return (image.min_ram_bytes if image else 0) or FUNCTION_BYTES


def in_form(vdu: Vdu, *, function: bool) -> Vdu:
    """The VDU as it is made: a function takes little memory, and neither processors nor storage of its own."""
    if not (function and vdu.function) and not is_function(vdu.image):
        return vdu
    image = vdu.image if is_function(vdu.image) else vdu.function
    return msgspec.structs.replace(
        vdu, image=image, vcpus=0.0, memory_bytes=function_bytes(vdu), storage_bytes=0, files=(), command=()
    )
