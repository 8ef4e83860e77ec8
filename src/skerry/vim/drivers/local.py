"""The embedded default VIM: containers on this host, without a daemon."""

from __future__ import annotations

import builtins
from typing import ClassVar

import msgspec

from skerry.vim.local.containers import Containers
from skerry.vim.local.settings import LocalSettings


class Driver(Containers):
    """The driver of the type LOCAL. One object per data folder; `open` before use."""

    type: ClassVar[str] = "LOCAL"
    settings_type: ClassVar[builtins.type[msgspec.Struct]] = LocalSettings
