"""How much a package may cost the reader. Every number bounds memory or time, whatever the package says of itself."""

from __future__ import annotations

import msgspec

MIB = 1024 * 1024


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """Bounds of one reading. Sizes are bytes; a package over any of them is refused with a fault that names the bound."""

    max_entries: int = 10_000
    max_directory_bytes: int = 4 * MIB  # the central directory of the zip file, which must be held in memory
    max_entry_bytes: int = 16 * 1024 * MIB
    max_total_bytes: int = 32 * 1024 * MIB
    max_ratio: int = 200  # unpacked to packed, of entries over `ratio_floor_bytes`
    ratio_floor_bytes: int = 1 * MIB
    max_path_length: int = 512
    max_meta_bytes: int = 1 * MIB  # TOSCA.meta and the manifest
    max_signature_bytes: int = 256 * 1024  # a CMS signature, or a file of certificates
    max_signatures: int = 200  # of one package: each costs some processes
    max_yaml_bytes: int = 2 * MIB  # one file of definitions
    max_yaml_nodes: int = 150_000  # of all files of definitions together, aliases counted as what they stand for
    max_yaml_depth: int = 64
    max_imports: int = 100
    max_faults: int = 200
