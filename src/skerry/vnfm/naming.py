"""Names on the infrastructure: derived from instance and resource key, so that a repeated creation finds what it made."""

from __future__ import annotations

SNAPSHOT = "snapshot:"
"""How the names of images begin that a VIM made of an instance."""


def resource_name(instance_id: str, key: str) -> str:
    """The driver's name of a resource: `sk-<12 hex digits of the instance>-<rest of the key>`."""
    short = instance_id.replace("-", "")[:12]
    rest = key.split(":", 1)[1].split("@", 1)[0]
    return f"sk-{short}-{rest}".lower().replace("_", "-")


def link_key(link: str, vim: str) -> str:
    """The resource key of a virtual link on one VIM."""
    return f"network:{link}@{vim}"


def instance_prefix(name: str) -> str:
    """How the id of the instance begins that a driver's name was derived from; "-" (nothing) for a foreign name."""
    parts = name.split("-")
    if len(parts) < 3 or parts[0] != "sk" or len(parts[1]) != 12:
        return "-"
    return f"{parts[1][:8]}-{parts[1][8:]}"
