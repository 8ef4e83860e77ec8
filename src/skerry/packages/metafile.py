"""`TOSCA.meta` and manifests: blocks of `key: value` lines (TOSCA 1.3 clause 6.2, SOL004 clause 4.3).

A block ends at an empty line; a line that begins with a space continues the value above it.
"""

from __future__ import annotations

import msgspec

from skerry.packages.report import Report


class Entry(msgspec.Struct):
    """One `key: value` with its line (from 1) and how far it is indented."""

    key: str
    value: str
    line: int
    indent: int = 0


def decode(data: bytes, file: str, report: Report) -> str | None:
    """The text of a metadata file; None and a fault if it is not UTF-8."""
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        report.error("not-utf8", "cannot read this file as UTF-8", file=file, fix="save the file as UTF-8")
        return None


def blocks(text: str, file: str, report: Report) -> list[list[Entry]]:
    """The blocks of a `TOSCA.meta` file."""
    found: list[list[Entry]] = [[]]
    for number, line in enumerate(text.splitlines(), start=1):
        if not line.strip():
            found.append([])
        elif line.startswith(" ") and found[-1]:
            found[-1][-1].value += line.strip()
        elif ":" not in line:
            report.error(
                "meta-syntax", f"cannot read line {number}: it is no `key: value`", file=file, fix="write `key: value`"
            )
        else:
            key, _, value = line.partition(":")
            found[-1].append(Entry(key.strip(), value.strip(), number))
    return [block for block in found if block]
