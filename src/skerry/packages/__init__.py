"""Readers of packages: SOL004 and SOL007 archives with SOL001 descriptors, into `skerry.model.descriptors`.

Importing this package is cheap: the readers, and PyYAML with them, are loaded when one of these names is first used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from skerry.packages.archive import extract_artifact, open_artifact
    from skerry.packages.binding import bind_nsd, bind_vnfd
    from skerry.packages.building import build
    from skerry.packages.functions import resolve
    from skerry.packages.limits import Limits
    from skerry.packages.manifests import read_manifests
    from skerry.packages.reading import lint, read
    from skerry.packages.signature import Trust
    from skerry.packages.signature_envelope import unwrap
    from skerry.packages.signature_making import Signing, sign

__all__ = [
    "Limits",
    "Signing",
    "Trust",
    "bind_nsd",
    "bind_vnfd",
    "build",
    "extract_artifact",
    "lint",
    "open_artifact",
    "read",
    "read_manifests",
    "resolve",
    "sign",
    "unwrap",
]

_MODULES = {
    "Limits": "limits",
    "Signing": "signature_making",
    "Trust": "signature",
    "bind_nsd": "binding",
    "bind_vnfd": "binding",
    "build": "building",
    "extract_artifact": "archive",
    "lint": "reading",
    "open_artifact": "archive",
    "read": "reading",
    "read_manifests": "manifests",
    "resolve": "functions",
    "sign": "signature_making",
    "unwrap": "signature_envelope",
}


def __getattr__(name: str) -> Any:
    """Load a reader on first use (PEP 562)."""
    module = _MODULES.get(name)
    if module is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    found = getattr(import_module(f"{__name__}.{module}"), name)
    globals()[name] = found
    return found
