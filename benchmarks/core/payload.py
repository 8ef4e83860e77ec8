"""What is run on every side: one busybox image, one program that rings a bell when it runs, one package of both."""

from __future__ import annotations

import asyncio
import hashlib
import io
import json
import os
import shutil
import tarfile
import time
from pathlib import Path

from skerry.packages import build

BUSYBOX = Path("/bin/busybox")
INSIDE = "/bench"
PROGRAM = ("/bin/sh", "-c", f"echo >{INSIDE}/bell; exec sleep 100000")
VCPUS, MEMORY_BYTES, PIDS = 1, 64 << 20, 64
TWO_NICS, ONE_NIC = "6f2a3a52-8f1c-4d0e-9f4e-2f0b5b6c7d10", "6f2a3a52-8f1c-4d0e-9f4e-2f0b5b6c7d11"
"""Identifiers of the two descriptors."""

VNFD = """\
tosca_definitions_version: tosca_simple_yaml_1_3
description: One container that tells when its program runs.
imports:
  - https://forge.etsi.org/rep/nfv/SOL001/raw/v4.4.1/etsi_nfv_sol001_vnfd_types.yaml
node_types:
  skerry.benchmarks.Dummy:
    derived_from: tosca.nodes.nfv.VNF
    properties:
      descriptor_id: { type: string, default: VNFD_ID }
      provider: { type: string, default: Skerry }
      product_name: { type: string, default: dummy }
      software_version: { type: string, default: "1" }
      descriptor_version: { type: string, default: "1.0" }
      flavour_id: { type: string, default: default }
      flavour_description: { type: string, default: "" }
      vnfm_info: { type: list, entry_schema: { type: string }, default: [ skerry ] }
  skerry.benchmarks.Unit:
    derived_from: tosca.nodes.nfv.Vdu.OsContainerDeployableUnit
    properties:
      boot_data: { type: tosca.datatypes.nfv.BootData, required: false }
topology_template:
  substitution_mappings:
    node_type: skerry.benchmarks.Dummy
    properties: { flavour_id: default }
  node_templates:
    vnf:
      type: skerry.benchmarks.Dummy
      properties: { flavour_description: one container }
    unit:
      type: skerry.benchmarks.Unit
      properties:
        name: unit
        description: rings
        vdu_profile: { min_number_of_instances: 1, max_number_of_instances: 1 }
        boot_data:
          vim_specific_properties:
            vim_type: container
            properties: { CMD: PROGRAM, PIDS: PIDS_MAX, VOLUMES: [ "FOLDER:INSIDE" ], GRACE: 0 s }
      requirements:
        - container: box
    box:
      type: tosca.nodes.nfv.Vdu.OsContainer
      properties:
        name: box
        description: busybox
        cpu_resource_limit: MILLI_CPU
        memory_resource_limit: MEMORY_MIB MiB
      artifacts:
        sw_image:
          type: tosca.artifacts.nfv.SwImage
          file: ../Files/busybox.tar
          properties: { name: dummy, version: "1", container_format: docker, size: 2 MB }
"""
INTERFACE = """\
    cpNUMBER:
      type: tosca.nodes.nfv.VduCp
      properties: { order: NUMBER, layer_protocols: [ ipv4 ] }
      requirements: [ { virtual_binding: unit }, { virtual_link: netNUMBER } ]
    netNUMBER:
      type: tosca.nodes.nfv.VnfVirtualLink
      properties:
        connectivity_type: { layer_protocols: [ ipv4 ] }
        vl_profile:
          max_bitrate_requirements: { root: 0 }
          min_bitrate_requirements: { root: 0 }
"""


class Bell:
    """A pipe in a folder that every instance mounts: each program that runs writes one line into it."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True)
        folder.chmod(0o755)
        self.folder = folder
        os.mkfifo(folder / "bell")
        (folder / "bell").chmod(0o666)
        self._pipe = os.open(folder / "bell", os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)

    async def rung(self, times: int, limit_s: float = 60.0) -> float:
        """Wait for so many lines; the moment of the last one, by `time.perf_counter`."""
        loop, heard, done = asyncio.get_running_loop(), 0, asyncio.Event()
        last = 0.0

        def read() -> None:
            nonlocal heard, last
            heard += os.read(self._pipe, 4096).count(b"\n")
            last = time.perf_counter()
            if heard >= times:
                done.set()

        loop.add_reader(self._pipe, read)
        try:
            async with asyncio.timeout(limit_s):
                await done.wait()
        finally:
            loop.remove_reader(self._pipe)
        return last

    def close(self) -> None:
        """Let go of the pipe."""
        os.close(self._pipe)


def packages(folder: Path, bell: Path) -> tuple[Path, Path]:
    """The dummy's CSARs, with two interfaces and with one."""
    image(folder / "busybox.tar")
    return _package(folder, bell, TWO_NICS, 2), _package(folder, bell, ONE_NIC, 1)


def _package(folder: Path, bell: Path, vnfd_id: str, nics: int) -> Path:
    source = folder / f"nics{nics}"
    (source / "Definitions").mkdir(parents=True)
    (source / "Files").mkdir()
    shutil.copy(folder / "busybox.tar", source / "Files")
    text = VNFD + "".join(INTERFACE.replace("NUMBER", str(number)) for number in range(nics))
    text = text.replace("VNFD_ID", vnfd_id).replace("PROGRAM", json.dumps(PROGRAM))
    for mark, value in (("MILLI_CPU", VCPUS * 1000), ("MEMORY_MIB", MEMORY_BYTES >> 20), ("PIDS_MAX", PIDS)):
        text = text.replace(mark, str(value))
    (source / "Definitions" / "dummy.yaml").write_text(text.replace("FOLDER:INSIDE", f"{bell}:{INSIDE}"))
    return build(source, folder / f"nics{nics}.csar")


def image(target: Path) -> None:
    """A Docker-style archive with busybox under the names that the program needs."""
    layer = _layer()
    digest = hashlib.sha256(layer).hexdigest()
    config = {
        "architecture": "amd64",
        "os": "linux",
        "config": {"Cmd": list(PROGRAM)},
        "rootfs": {"type": "layers", "diff_ids": [f"sha256:{digest}"]},
        "history": [{"created_by": "benchmarks"}],
    }
    manifest = [{"Config": "config.json", "RepoTags": ["skerry-benchmarks:1"], "Layers": ["layer.tar"]}]
    with tarfile.open(target, "w") as archive:
        for name, content in (
            ("manifest.json", json.dumps(manifest).encode()),
            ("config.json", json.dumps(config).encode()),
            ("layer.tar", layer),
        ):
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))


def _layer() -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as layer:
        for folder in ("bin", "dev", "etc", "proc", "sys", "tmp", "root", "run", INSIDE.strip("/")):
            member = tarfile.TarInfo(folder)
            member.type, member.mode = tarfile.DIRTYPE, 0o755
            layer.addfile(member)
        member = tarfile.TarInfo("bin/busybox")
        member.size, member.mode = BUSYBOX.stat().st_size, 0o755
        with BUSYBOX.open("rb") as file:
            layer.addfile(member, file)
        for name in ("sh", "sleep", "echo"):
            link = tarfile.TarInfo(f"bin/{name}")
            link.type, link.linkname = tarfile.SYMTYPE, "busybox"
            layer.addfile(link)
    return stream.getvalue()


def lacking(*programs: str) -> list[str]:
    """Programs that this machine does not have."""
    path = os.environ.get("PATH", "") + ":/usr/sbin:/sbin"
    return [program for program in programs if not shutil.which(program, path=path)]
