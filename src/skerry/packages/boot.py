"""Boot data of a VDU to the fields of the model (`tosca.datatypes.nfv.BootData`, SOL001 clause 6.2.57).

* `kvp_data.data` becomes environment variables.
* `content_or_file_data` becomes files: `content` (may hold functions) or `source_path` (in the package) at
  `destination_path`; entries of its `data` become environment variables too, as key-value data.
* `vim_specific_properties.properties` become fields where `vim_type` is `container` or `skerry`; of another `vim_type` they
  are kept in `Vdu.options` under that type. The keys, in any case of letters:

| Key | Value | Field |
|---|---|---|
| CMD, COMMAND | list, or one string split as a shell would | command |
| PUBLISH | `host:instance[/protocol]`, list or comma-separated | ports |
| EXPOSE | `instance[/protocol]`, list or comma-separated | ports with host 0 |
| ALIASES, DNS, CAPABILITIES | list or comma-separated | aliases, dns, capabilities |
| VOLUMES | `source:target[:ro]`, list or comma-separated | mounts |
| HOSTNAME | string or function | hostname |
| RESTART_POLICY_CONDITION | none, no: not restarted; any other: restarted | restart |
| READ_ONLY, PIDS, GRACE | boolean, number, time | read_only, pids, grace_s |
| STANDBY | number | standby: instances that are made and stand still until one that runs fails |
| CONSTRAINTS | list or comma-separated | options |
| ENV | map | env |
| any other | value | env |
"""

from __future__ import annotations

import shlex
from collections.abc import Callable
from typing import Any

from skerry.model.descriptors import BootFile
from skerry.packages.cursor import Cursor
from skerry.packages.functions import is_function, text_of

OWN_VIM_TYPES = ("container", "skerry")
_PROTOCOLS = ("tcp", "udp", "sctp")


def read_boot_data(boot: Cursor) -> dict[str, Any]:
    """The fields of `Vdu` that boot data set."""
    fields: dict[str, Any] = {"env": {}, "options": {}}
    if not boot.exists:
        return fields
    if isinstance(boot.value, str) or is_function(boot.value):
        fields["options"]["user_data"] = boot.value
        return fields
    fields["env"] |= _environment(boot.at("kvp_data", "data"))
    content = boot.at("content_or_file_data")
    fields["env"] |= _environment(content.at("data"))
    files = [file for item in _many(content) if (file := _file(item)) is not None]
    if files:
        fields["files"] = tuple(files)
    specific = boot.at("vim_specific_properties")
    for item in _many(specific):
        _vim_specific(item, fields)
    return fields


def _many(cursor: Cursor) -> list[Cursor]:
    return cursor.items() if isinstance(cursor.value, list) else [cursor] if cursor.exists else []


def _environment(data: Cursor) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, entry in data.entries().items():
        if not name or "=" in name or "\0" in name:
            entry.error(
                "bad-environment",
                f"cannot use {name!r} as the name of an environment variable",
                "use letters, digits and _",
            )
        elif isinstance(entry.value, list) or (isinstance(entry.value, dict) and not is_function(entry.value)):
            entry.wrong("a string")
        else:
            found[name] = entry.value if isinstance(entry.value, dict) else text_of(entry.value)
    return found


def _file(item: Cursor) -> BootFile | None:
    content, source, path = item.at("content"), item.at("source_path"), item.at("destination_path")
    if not (content.exists or source.exists or path.exists):
        return None
    target = path.required_text("the path of the file to write")
    if target and not target.startswith("/"):
        path.error("relative-path", f"cannot write to the relative path {target!r}", "begin the path with /")
    if not content.exists and not source.exists:
        item.error(
            "missing-property", "cannot write a file without content or source_path", "add `content:` or `source_path:`"
        )
    mode = item.at("mode").text("644").removeprefix("0o")
    if not mode or not set(mode) <= set("01234567") or len(mode) > 5:
        item.at("mode").wrong("an octal mode such as '0755'")
        mode = "644"
    text = content.value if isinstance(content.value, dict) else content.text()
    return BootFile(path=target, content=text, source=source.text(), mode=int(mode, 8))


def _vim_specific(item: Cursor, fields: dict[str, Any]) -> None:
    vim_type = item.at("vim_type").text("container")
    properties = item.at("properties")
    if vim_type not in OWN_VIM_TYPES:
        fields["options"][vim_type] = {name: entry.value for name, entry in properties.entries().items()}
        return
    for name, entry in properties.entries().items():
        read = _KEYS.get(name.upper())
        if read is None:
            fields["env"] |= _environment(Cursor({name: entry.value}, entry.file, properties.path, entry.report))
        elif entry.exists:
            read(entry, fields)


def command_words(entry: Cursor) -> tuple[Any, ...]:
    """A command as its words: a list, whose items may be functions, or one string split as a shell would."""
    if is_function(entry.value):
        return (entry.value,)
    if isinstance(entry.value, list):
        return tuple(item.value if is_function(item.value) else item.text() for item in entry.items())
    try:
        return tuple(shlex.split(entry.text()))
    except ValueError:
        entry.error("bad-command", "cannot split this command: a quotation is not closed", "close it, or write a list")
        return ()


def words(entry: Cursor) -> tuple[Cursor, ...]:
    """The items of a list or of a comma-separated string."""
    if isinstance(entry.value, list):
        return tuple(entry.items())
    parts = [part.strip() for part in entry.text().split(",")]
    return tuple(Cursor(part, entry.file, entry.path, entry.report) for part in parts if part)


def _texts(field: str) -> Callable[[Cursor, dict[str, Any]], None]:
    def read(entry: Cursor, fields: dict[str, Any]) -> None:
        fields[field] = tuple(text for item in words(entry) if (text := item.text()))

    return read


def _command(entry: Cursor, fields: dict[str, Any]) -> None:
    fields["command"] = command_words(entry)


def _hostname(entry: Cursor, fields: dict[str, Any]) -> None:
    fields["hostname"] = entry.value if is_function(entry.value) else entry.text()


def _restart(entry: Cursor, fields: dict[str, Any]) -> None:
    fields["restart"] = entry.text().lower() not in ("none", "no", "false", "never", "")


def _read_only(entry: Cursor, fields: dict[str, Any]) -> None:
    fields["read_only"] = entry.flag()


def _pids(entry: Cursor, fields: dict[str, Any]) -> None:
    fields["pids"] = entry.integer()


def _standby(entry: Cursor, fields: dict[str, Any]) -> None:
    fields["standby"] = entry.integer()


def _grace(entry: Cursor, fields: dict[str, Any]) -> None:
    fields["grace_s"] = entry.seconds(10.0)


def _constraints(entry: Cursor, fields: dict[str, Any]) -> None:
    fields["options"]["constraints"] = [item.text() for item in words(entry)]


def _variables(entry: Cursor, fields: dict[str, Any]) -> None:
    fields["env"] |= _environment(entry)


def _volumes(entry: Cursor, fields: dict[str, Any]) -> None:
    mounts: list[dict[str, Any]] = []
    for item in words(entry):
        source, _, rest = item.text().partition(":")
        target, _, mode = rest.partition(":")
        if not source or not target.startswith("/") or mode not in ("", "ro", "rw"):
            item.error(
                "bad-volume", f"cannot read the volume {item.text()!r}", "write source:/target or source:/target:ro"
            )
        else:
            mounts.append({"source": source, "target": target, "read_only": mode == "ro"})
    fields["mounts"] = tuple(mounts)


def _ports(entry: Cursor, fields: dict[str, Any], *, published: bool) -> None:
    ports: list[dict[str, Any]] = []
    for item in words(entry):
        numbers, _, protocol = item.text().partition("/")
        host, colon, inside = numbers.rpartition(":")
        valid = all(
            part.isascii() and part.isdigit() and len(part) < 6 and 0 < int(part) < 65536
            for part in ([inside, host] if colon else [inside])
        )
        if not valid or published != bool(colon) or protocol not in ("", *_PROTOCOLS):
            form = "host:instance[/protocol]" if published else "instance[/protocol]"
            item.error("bad-port", f"cannot read the port {item.text()!r}", f"write {form}")
        else:
            ports.append({"host": int(host or 0), "instance": int(inside), "protocol": protocol or "tcp"})
    fields["ports"] = (*fields.get("ports", ()), *ports)


def _publish(entry: Cursor, fields: dict[str, Any]) -> None:
    _ports(entry, fields, published=True)


def _expose(entry: Cursor, fields: dict[str, Any]) -> None:
    _ports(entry, fields, published=False)


_KEYS: dict[str, Callable[[Cursor, dict[str, Any]], None]] = {
    "CMD": _command,
    "COMMAND": _command,
    "PUBLISH": _publish,
    "EXPOSE": _expose,
    "ALIASES": _texts("aliases"),
    "DNS": _texts("dns"),
    "CAPABILITIES": _texts("capabilities"),
    "VOLUMES": _volumes,
    "HOSTNAME": _hostname,
    "RESTART_POLICY_CONDITION": _restart,
    "READ_ONLY": _read_only,
    "PIDS": _pids,
    "GRACE": _grace,
    "STANDBY": _standby,
    "CONSTRAINTS": _constraints,
    "ENV": _variables,
}
