"""The reference page of a node's settings, from `skerry.settings.describe`."""

from __future__ import annotations

from skerry.settings import Description, Vim, describe
from tools.pages import code, page, table

INTRODUCTION = """\
A node reads one TOML file: `/etc/skerry/skerry.toml` for root, `~/.config/skerry/skerry.toml` for everyone else, or the one
that `skerry up --config FILE` or the variable `SKERRY_CONFIG` names. Environment variables overrule the file, options of
`skerry up` overrule both. Nothing has to be set. Unknown keys and variables are refused, with the nearest known name.
"""

EXAMPLE = """\
## Example

```toml
node = "harbour"
listen = "192.0.2.10"
tls_names = ["harbour.example.org"]

[[vims]]
id = "here"
type = "local"

[[vims]]
id = "engine"
type = "docker"
settings = { endpoint = "unix:///run/docker.sock" }
```

Settings of a driver are on [its reference page](drivers.md).
"""


def settings() -> str:
    """The page."""
    return page(
        "Settings",
        INTRODUCTION,
        table(("Key", "Variable", "Type", "Default", "Meaning"), [_row(one) for one in describe()]),
        "## A table `[[vims]]`",
        table(("Key", "Type", "Default", "Meaning"), [_short(one) for one in describe(Vim)]),
        EXAMPLE,
    )


def _row(one: Description) -> tuple[str, ...]:
    return code(one.name), code(one.variable), code(one.type), code(one.default), one.text


def _short(one: Description) -> tuple[str, ...]:
    return code(one.name), code(one.type), code(one.default), one.text
