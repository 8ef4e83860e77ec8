"""Images of a simulated infrastructure: names and sizes, and of those that were made of instances the files in them."""

from __future__ import annotations

from pathlib import Path

import msgspec

from skerry.errors import InvalidError, NotFoundError, TooLargeError
from skerry.vim import ipam, source
from skerry.vim.driver import Image, ImageSpec
from skerry.vim.simulated.world import World

_MARK = b'{"simulated":'


class Exported(msgspec.Struct, frozen=True, kw_only=True):
    """What a file with a simulated image has."""

    simulated: str  # the image's name where it came from
    size_bytes: int = 0
    command: tuple[str, ...] = ()
    env: dict[str, str] = {}
    files: dict[str, bytes] = {}


def ensure(world: World, spec: ImageSpec) -> Image:
    """Have the image; a path must exist and fit its checksum, other sources are believed."""
    have = world.has.images.get(spec.name)
    if have:
        return have
    size, brought = _read(spec)
    image = Image(id=f"sim-image-{ipam.digest(spec.name)}", name=spec.name, size_bytes=size)
    if brought is not None:
        image = msgspec.structs.replace(image, size_bytes=brought.size_bytes, command=brought.command, env=brought.env)
        world.has.snapshots[spec.name] = dict(brought.files)
    world.has.images[spec.name] = image
    return image


def _read(spec: ImageSpec) -> tuple[int, Exported | None]:
    """The size of what an image comes from, in bytes, 0 where that is not on this machine; and what was exported into it."""
    if not spec.source.startswith("/"):
        return 0, None
    path = source.local_path(spec)
    if not path.is_file():
        return 0, None
    with path.open("rb") as file:
        if file.read(len(_MARK)) != _MARK:
            return path.stat().st_size, None
    try:
        return path.stat().st_size, msgspec.json.decode(path.read_bytes(), type=Exported)
    except msgspec.DecodeError as error:
        raise InvalidError(f"cannot use the image {spec.name}: it is damaged", suggestion="export it again") from error


def snapshot(world: World, name: str, image: str) -> Image:
    """Keep the files that programs inside an instance wrote."""
    machine = world.machine(name)
    base = world.has.images.get(machine.spec.image)
    size = sum(len(content) for content in machine.written.values()) + (base.size_bytes if base else 0)
    fresh = Image(
        id=f"sim-image-{ipam.digest(image)}",
        name=image,
        size_bytes=size,
        command=base.command if base else (),
        env=base.env if base else {},
    )
    world.has.snapshots.setdefault(image, dict(machine.written))
    return world.has.images.setdefault(image, fresh)


def export(world: World, name: str, target: Path, max_bytes: int) -> None:
    """Write an image into a file that `ensure` takes."""
    image = world.has.images.get(name)
    if image is None:
        raise NotFoundError(f"cannot find the image {name}", suggestion="make it available first")
    told = Exported(
        simulated=name,
        size_bytes=image.size_bytes,
        command=image.command,
        env=dict(image.env),
        files=world.has.snapshots.get(name, {}),
    )
    data = msgspec.json.encode(told)
    if len(data) > max_bytes:
        raise TooLargeError("cannot write the image into a file: it is too large", suggestion="raise the limit")
    target.write_bytes(data)
