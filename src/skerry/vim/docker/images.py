"""Images in an Engine: brought there from files, directories, this host's programs or a registry.

Every image of ours has the label `skerry.image` with its name, and a reference that follows from the name.
"""

from __future__ import annotations

import asyncio
import io
import json
import shutil
import tarfile
import tempfile
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from skerry.errors import ConflictError, DriverError, NotFoundError, TooLargeError
from skerry.vim import ipam, source
from skerry.vim.docker.engine import Engine
from skerry.vim.driver import Image, ImageSpec
from skerry.vim.local import archives, hostpack

LABEL = "skerry.image"
_REPOSITORY = "skerry.local/image"
_TOOLS = ("busybox", "ip", "tc")
_CHUNK = 1 << 20


def reference(name: str) -> str:
    """What the Engine calls the image of that name."""
    return f"{_REPOSITORY}:{ipam.digest(name, length=32)}"


class Images:
    """`scratch` is a folder for what is packed on its way to the Engine."""

    def __init__(self, engine: Engine, scratch: Path) -> None:
        self._engine = engine
        self._scratch = scratch
        self._locks: dict[str, asyncio.Lock] = {}
        self._found: hostpack.Contents | None = None

    async def ensure(self, spec: ImageSpec) -> Image:
        """Have the image; returns at once when it is there."""
        async with self._locks.setdefault(spec.name, asyncio.Lock()):
            try:
                return await self.get(spec.name)
            except NotFoundError:
                await self._bring(spec)
            return await self.get(spec.name)

    async def get(self, name: str) -> Image:
        """An image by name; `NotFoundError`."""
        try:
            found = await self._engine.get(f"/images/{reference(name)}/json")
        except NotFoundError as missing:
            raise NotFoundError(
                f"cannot find the image {name}",
                suggestion="put the image into the package, or make it available under this name",
            ) from missing
        return _image(name, found)

    async def all(self) -> Sequence[Image]:
        """Every image of ours, by name."""
        found = await self._engine.get("/images/json", filters={"label": [LABEL]})
        names = sorted(one["Labels"][LABEL] for one in found if one.get("RepoTags"))
        return [await self.get(name) for name in names if not name.startswith("skerry-tools-")]

    async def present(self) -> Sequence[Image]:
        """Every image with a name that others brought there, by name."""
        found = await self._engine.get("/images/json")
        theirs = [one for one in found if LABEL not in (one.get("Labels") or {})]
        names = sorted(tag for one in theirs for tag in one.get("RepoTags") or () if tag != "<none>:<none>")
        return [_image(name, await self._engine.get(f"/images/{name}/json")) for name in names]

    async def delete(self, name: str, users: Sequence[str] = ()) -> None:
        """Remove it; `ConflictError` names the `users` or the containers in the way."""
        if users:
            raise ConflictError(
                f"cannot delete the image {name}: it is used by {', '.join(users)}",
                suggestion="delete these instances first",
            )
        try:
            await self._engine.delete(f"/images/{reference(name)}")
        except ConflictError as used:
            raise ConflictError(
                f"cannot delete the image {name}: {used.detail}", suggestion="delete what uses it first"
            ) from used

    async def commit(self, container: str, base: str, name: str) -> Image:
        """An image of what a container has written on top of `base`, with the configuration of `base`."""
        async with self._locks.setdefault(name, asyncio.Lock()):
            try:
                return await self.get(name)
            except NotFoundError:
                config = (await self._engine.get(f"/images/{reference(base)}/json"))["Config"]
            repository, _, tag = reference(name).rpartition(":")
            body = {**config, "Labels": {**(config.get("Labels") or {}), LABEL: name}}
            query = {"container": container, "repo": repository, "tag": tag, "pause": True}
            await self._engine.request("POST", "/commit", body=body, query=query, patient=True)
            return await self.get(name)

    async def export(self, name: str, target: Path, max_bytes: int) -> None:
        """Write an image into a file, as the Engine saves it."""
        left = max_bytes
        await self.get(name)
        async with self._engine.stream("GET", f"/images/{reference(name)}/get") as pieces:
            with target.open("wb") as file:
                async for piece in pieces:
                    left -= len(piece)
                    if left < 0:
                        raise TooLargeError("cannot write the image into a file: it is too large")
                    await asyncio.to_thread(file.write, piece)

    async def tools(self) -> str:
        """The reference of an image with busybox, ip and tc of this host, for containers that hold networks."""
        if self._found is None:  # looking takes some time, and this host's tools do not change under a node that runs
            self._found = await asyncio.to_thread(hostpack.find, _TOOLS)
        contents = self._found
        spec = ImageSpec(name=f"skerry-tools-{contents.key[:16]}", source=f"host:{','.join(_TOOLS)}")
        await self.ensure(spec)
        return reference(spec.name)

    async def _bring(self, spec: ImageSpec) -> None:
        if spec.source.startswith("docker://"):
            await self._pull(spec)
        elif spec.source.startswith("vim:"):
            await self._labelled(spec, spec.source.removeprefix("vim:"))
        elif spec.source.startswith("host:"):
            await self._packed(spec)
        else:
            path = await asyncio.to_thread(source.local_path, spec)
            if path.is_dir() and not (path / "oci-layout").is_file():
                await self._import(spec, lambda to: _tar_of(path, to), {})
            else:
                await self._load(spec, path)

    async def _packed(self, spec: ImageSpec) -> None:
        names = [name.strip() for name in spec.source.removeprefix("host:").split(",") if name.strip()]
        contents = await asyncio.to_thread(hostpack.find, names)

        def pack(target: Path) -> None:
            with tempfile.TemporaryDirectory(dir=self._folder()) as root:
                hostpack.pack(contents, Path(root))
                _tar_of(Path(root), target)

        await self._import(spec, pack, contents.env, contents.programs[:1])

    async def _import(
        self, spec: ImageSpec, make: Callable[[Path], None], env: Mapping[str, str], command: Sequence[str] = ()
    ) -> None:
        """A root file system becomes an image of one layer."""
        changes = [f"LABEL {key}={json.dumps(value)}" for key, value in {**spec.labels, LABEL: spec.name}.items()]
        changes += [f"ENV {key}={json.dumps(value)}" for key, value in env.items()]
        changes += [f"CMD {json.dumps(list(command))}"] if command else []
        repository, _, tag = reference(spec.name).rpartition(":")
        query = {"fromSrc": "-", "repo": repository, "tag": tag, "changes": tuple(changes)}
        await self._send(spec, "/images/create", query, make)

    async def _load(self, spec: ImageSpec, path: Path) -> None:
        """An OCI archive or layout, or a Docker-style tar, with our label and reference put in."""

        def make(target: Path) -> None:
            if path.is_dir():
                _docker_tar(archives.folder(path), spec, target)
            else:
                with archives.tar(path) as archive:
                    _docker_tar(archive, spec, target)

        await self._send(spec, "/images/load", {"quiet": True}, make)

    async def _send(self, spec: ImageSpec, path: str, query: Mapping[str, Any], make: Callable[[Path], None]) -> None:
        with tempfile.TemporaryDirectory(dir=self._folder()) as folder:
            tar = Path(folder) / "image.tar"
            await asyncio.to_thread(make, tar)
            answer = await self._engine.request("POST", path, query=query, content=_pieces(tar), patient=True)
        _check(answer, f"make the image {spec.name} available")

    async def _pull(self, spec: ImageSpec) -> None:
        name = spec.source.removeprefix("docker://")
        bare, _, tag = name.rpartition(":") if ":" in name.rsplit("/", 1)[-1] else (name, "", "latest")
        try:
            answer = await self._engine.request(
                "POST", "/images/create", query={"fromImage": bare, "tag": tag}, patient=True
            )
            _check(answer, f"pull {spec.source}")
        except (DriverError, NotFoundError) as failed:
            raise DriverError(
                f"cannot pull {spec.source}: {failed.detail}",
                transient=True,
                call=f"POST /images/create {bare}:{tag}",
                answer=failed.detail,
                suggestion="check that the Engine reaches the registry, or give the image as an archive or host:PROGRAM",
            ) from failed
        await self._labelled(spec, f"{bare}:{tag}")

    async def _labelled(self, spec: ImageSpec, origin: str) -> None:
        """An image that the Engine has becomes one of ours, under a reference of ours."""
        try:
            await self._engine.get(f"/images/{origin}/json")
        except NotFoundError as missing:
            raise NotFoundError(
                f"cannot find the image {origin} in the Engine", suggestion="pull or load it first, or name another"
            ) from missing
        recipe = f"FROM {origin}\nLABEL {LABEL}={json.dumps(spec.name)}\n".encode()
        made = io.BytesIO()
        with tarfile.open(fileobj=made, mode="w") as tar:
            info = tarfile.TarInfo("Dockerfile")
            info.size = len(recipe)
            tar.addfile(info, io.BytesIO(recipe))
        answer = await self._engine.request(
            "POST", "/build", query={"t": reference(spec.name)}, content=made.getvalue(), patient=True
        )
        _check(answer, f"label the image {spec.name}")

    def _folder(self) -> Path:
        self._scratch.mkdir(parents=True, exist_ok=True)
        return self._scratch


def _image(name: str, found: Mapping[str, Any]) -> Image:
    config = found.get("Config") or {}
    return Image(
        id=found["Id"],
        name=name,
        size_bytes=found.get("Size", 0),
        command=(*(config.get("Entrypoint") or ()), *(config.get("Cmd") or ())),
        env=dict(item.split("=", 1) for item in config.get("Env") or () if "=" in item),
    )


def _tar_of(root: Path, target: Path) -> None:
    with tarfile.open(target, "w") as tar:
        tar.add(root, arcname=".")


class Keeping:
    """The part of a driver that only hands on to its images."""

    _images: Images

    async def ensure_image(self, spec: ImageSpec) -> Image:
        """Bring the image into the Engine; returns at once when it is there."""
        return await self._images.ensure(spec)

    async def list_images(self) -> Sequence[Image]:
        """Every image that Skerry brought there."""
        return await self._images.all()

    async def list_present(self) -> Sequence[Image]:
        """Every named image that others brought to the Engine."""
        return await self._images.present()

    async def export_image(self, name: str, target: Path, max_bytes: int) -> None:
        """Write an image into a file, as `docker save` does."""
        await self._images.export(name, target, max_bytes)


def _docker_tar(archive: archives.Archive, spec: ImageSpec, target: Path) -> None:
    """What `docker save` would have written of this image, if it were ours."""
    manifest = archives.manifest(archive)
    inner = manifest.config.get("config") or {}
    labels = {**(inner.get("Labels") or {}), **spec.labels, LABEL: spec.name}
    config = json.dumps({**manifest.config, "config": {**inner, "Labels": labels}}).encode()
    names = [f"layer{index}.tar" for index in range(len(manifest.layers))]
    index = [{"Config": "config.json", "RepoTags": [reference(spec.name)], "Layers": names}]
    with tarfile.open(target, "w") as tar:
        for name, blob in zip(names, manifest.layers, strict=True):
            with archive.open(blob.name) as stream, tempfile.TemporaryFile(dir=target.parent) as spool:
                shutil.copyfileobj(stream, spool)
                info = tarfile.TarInfo(name)
                info.size = spool.tell()
                spool.seek(0)
                tar.addfile(info, spool)
        for name, data in (("config.json", config), ("manifest.json", json.dumps(index).encode())):
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))


async def _pieces(path: Path) -> AsyncIterator[bytes]:
    with path.open("rb") as file:
        while piece := await asyncio.to_thread(file.read, _CHUNK):
            yield piece


def _check(answer: Any, what: str) -> None:
    """Progress messages may tell of an error although the status was good."""
    lines = answer.splitlines() if isinstance(answer, str) else [json.dumps(answer)]
    for line in lines:
        if '"error"' in line:
            text = str(json.loads(line).get("error", line))
            raise DriverError(f"cannot {what}: {text}", answer=text, call=what)
