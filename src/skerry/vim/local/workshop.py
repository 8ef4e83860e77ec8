"""Makes, runs and removes instances on one edge host: joins images, bundles, networks and supervision.

Everything here blocks and is called in a worker thread, for one instance by one thread at a time. Each function can be
repeated after a crash at any point.
"""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec

from skerry.errors import DriverError, InvalidError
from skerry.linux import syscalls
from skerry.vim import ipam
from skerry.vim.driver import ComputeSpec, File
from skerry.vim.local import cgroups, oci, records, supervise
from skerry.vim.local.images import Images, StoredImage
from skerry.vim.local.network import EdgeNetwork, Plug
from skerry.vim.local.records import Creation, Process, State, Stored

_OPTIONS_MAX = 4000  # a page, less some room
_CREATION, _STATE = "creation.json", "state.json"


class Workshop:
    """One edge host's instances below `folder`."""

    def __init__(self, folder: Path, *, runner: supervise.Runner, network: EdgeNetwork, images: Images) -> None:
        self._folder = folder
        self.runner, self.network, self.images = runner, network, images

    def folder(self, instance: str) -> Path:
        """Where everything of an instance is."""
        return self._folder / instance

    def load(self) -> list[tuple[Creation, State]]:
        """Every instance that was recorded; rests of removed ones, and of ones not yet recorded, are swept."""
        self._folder.mkdir(parents=True, exist_ok=True)
        syscalls.spread(self._folder)
        found: list[tuple[Creation, State]] = []
        for folder in records.sweep(self._folder):
            creation = records.read(folder / _CREATION, Creation)
            if creation:
                found.append((creation, records.read(folder / _STATE, State) or State()))
            else:
                records.discard(folder)
        return found

    def save(self, instance: str, state: State) -> None:
        """Write an instance's state down; one whose folder is gone has none."""
        try:
            records.write(self.folder(instance) / _STATE, state)
        except FileNotFoundError:
            return

    def make(self, creation: Creation, state: State, plugs: Sequence[Plug]) -> None:
        """Record an instance, its files, and connect its namespace."""
        folder = self.folder(creation.id)
        for part in ("exit", "files", "upper", "root"):
            (folder / part).mkdir(parents=True, exist_ok=True)
        (folder / "upper").chmod(0o755)
        records.write(folder / _CREATION, creation)
        self.store(creation.id, creation.spec.files)
        self.network.wire(creation.id, plugs)
        self.save(creation.id, state)

    def store(self, instance: str, files: Sequence[File]) -> None:
        """Write the contents of files for the next start."""
        for file in files:
            records.write_bytes(self.folder(instance) / "files" / content_name(file.path), file.content, file.mode)

    def run(self, creation: Creation, state: State, plugs: Sequence[Plug]) -> tuple[Process, Process]:
        """Start an instance that does not run; its process and its shim."""
        folder, instance = self.folder(creation.id), creation.id
        if self._launched(instance):
            supervise.destroy(self.runner, instance, folder, None)
            for rest in ("pid", "shim.pid", supervise.BUNDLE):
                (folder / rest).unlink(missing_ok=True)
        if not self.network.wired(instance):
            self.network.wire(instance, plugs)
        self._mount(creation)
        self._bundle(creation, state)
        return supervise.launch(self.runner, instance, folder)

    def _launched(self, instance: str) -> bool:
        """True when a start was tried, with whatever result: the bundle is the last thing that is written before it."""
        return (self.folder(instance) / supervise.BUNDLE).exists()

    def _mount(self, creation: Creation) -> None:
        """Stack the image's layers and the instance's own on top."""
        folder = self.folder(creation.id)
        root, work = folder / "root", folder / "work"
        if root.stat().st_dev != folder.stat().st_dev:
            return
        shutil.rmtree(work, ignore_errors=True)
        work.mkdir()
        lower = ":".join(_escaped(self.images.layer(key)) for key in reversed(creation.layers))
        options = f"lowerdir={lower},upperdir={_escaped(folder / 'upper')},workdir={_escaped(work)}"
        if len(options) > _OPTIONS_MAX:
            raise DriverError(
                f"cannot start {creation.spec.name}: its image has {len(creation.layers)} layers, more than fit in a mount",
                suggestion="squash the image's layers",
            )
        try:
            syscalls.mount("overlay", root, "overlay", data=f"{options},volatile")
        except OSError as wrong:
            if wrong.errno != errno.EINVAL:  # a kernel before 5.10 does not know `volatile`
                raise DriverError(f"cannot stack the image of {creation.spec.name}: {wrong}") from wrong
            syscalls.mount("overlay", root, "overlay", data=options)

    def _bundle(self, creation: Creation, state: State) -> None:
        folder, spec = self.folder(creation.id), limited(creation.spec, state)
        own = {"/etc/hosts": oci.hosts_file(spec, creation.nics), "/etc/resolv.conf": oci.resolver_file(spec)}
        for path, text in own.items():
            records.write_bytes(folder / "files" / content_name(path), text.encode(), 0o644)
        files = {path: content_name(path) for path in own} | {file.path: file.content for file in state.files}
        uid, gid = self._user(creation)
        place = oci.Place(
            root=str(folder / "root"),
            network=str(self.network.instance_path(creation.id)),
            cgroup=self.runner.group(creation.id),
            files={path: str(folder / "files" / name) for path, name in files.items()},
            uid=uid,
            gid=gid,
            swap_accounted=self.runner.groups.swap,
        )
        env = {**creation.base_env, **state.env}
        config = oci.bundle(spec, place, program=state.program or creation.program, env=env, folder=creation.folder)
        records.write_bytes(folder / supervise.BUNDLE, msgspec.json.encode(config))

    def _user(self, creation: Creation) -> tuple[int, int]:
        if creation.user in {"", "0", "root", "0:0"}:
            return 0, 0
        root = self.folder(creation.id) / "root"
        try:
            return oci.user_ids(creation.user, _inner(root, "etc/passwd"), _inner(root, "etc/group"))
        except KeyError as wrong:
            raise InvalidError(
                f"cannot start {creation.spec.name}: its image runs as {creation.user}, but has no such account"
            ) from wrong

    def snapshot(self, creation: Creation, name: str) -> StoredImage:
        """An image of the instance's own layer on top of its image's."""
        base = StoredImage(
            name=name,
            source="",
            stamp="",
            layers=creation.layers,
            entrypoint=(),
            command=creation.program,
            env=creation.base_env,
            folder=creation.folder,
            user=creation.user,
            stop_signal=creation.stop_signal,
        )
        return self.images.snapshot(base, self.folder(creation.id) / "upper")

    def remove(self, creation: Creation, shim: Process | None) -> None:
        """End an instance and remove everything of it, whatever there is."""
        folder = self.folder(creation.id)
        if self._launched(creation.id):
            supervise.destroy(self.runner, creation.id, folder, shim)
        syscalls.unmount(folder / "root")
        self.network.unwire(creation.id, len(creation.nics))
        records.discard(folder)

    def release(self) -> None:
        """Give back the control groups that hold the instances' ones, where no instance is left."""
        for path in (self.runner.cgroup, str(Path(self.runner.cgroup).parent)):
            cgroups.remove_empty(self.runner.groups, path)


def content_name(path: str) -> str:
    """The name under which the content of a file for the instance is kept."""
    return ipam.digest(os.path.normpath(path), length=16)


def stored(files: Sequence[File]) -> tuple[Stored, ...]:
    """What to remember of files for the instance."""
    return tuple(Stored(path=file.path, content=content_name(file.path), mode=file.mode) for file in files)


def changed(
    state: State, env: Mapping[str, str], files: Sequence[File], command: Sequence[str], hosts: Mapping[str, str]
) -> State:
    """The state with what the next start shall use: merged; an empty value removes a variable."""
    merged = {key: value for key, value in {**state.env, **env}.items() if env.get(key, value) or key not in env}
    kept = {file.path: file for file in (*state.files, *stored(files))}
    return msgspec.structs.replace(
        state,
        env=merged,
        files=tuple(kept.values()),
        hosts={**state.hosts, **hosts},
        program=tuple(command) or state.program,
    )


def limited(spec: ComputeSpec, state: State) -> ComputeSpec:
    """The specification with what was changed since: limits that a resize set, names for the hosts file."""
    return msgspec.structs.replace(
        spec,
        vcpus=state.vcpus or spec.vcpus,
        memory_bytes=state.memory_bytes or spec.memory_bytes,
        hosts={**spec.hosts, **state.hosts},
    )


def _escaped(path: Path) -> str:
    text = str(path)
    for special in ("\\", ":", ","):
        text = text.replace(special, f"\\{special}")
    return text


def _inner(root: Path, name: str) -> str:
    """A small text file of the image; a link that leads out of it counts as none."""
    path = (root / name).resolve()
    if not path.is_relative_to(root.resolve()) or not path.is_file():
        return ""
    with path.open(errors="replace") as file:
        return file.read(1 << 20)
