"""What edge applications and their platform cost."""

from __future__ import annotations

import os
from collections.abc import Mapping

from benchmarks import divert, mecapp, mep
from benchmarks.figures import Figure, Scale
from benchmarks.mep import Say

FIGURES: Mapping[str, Figure] = {**mep.FIGURES, **divert.FIGURES, **mecapp.FIGURES}


async def measure(scale: Scale, say: Say) -> dict[str, float]:
    """Every figure of `FIGURES`; those of packets need root."""
    found = {**await mep.measure(scale, say), **await mecapp.measure(scale, say)}
    if os.geteuid() == 0 and scale.vim == "real":
        found |= await divert.measure(scale, say)
    return found
