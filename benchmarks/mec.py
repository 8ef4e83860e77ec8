"""What edge applications and their platform cost."""

from __future__ import annotations

from collections.abc import Mapping

from benchmarks import mecapp, mep
from benchmarks.figures import Figure, Scale
from benchmarks.mep import Say

FIGURES: Mapping[str, Figure] = {**mep.FIGURES, **mecapp.FIGURES}


async def measure(scale: Scale, say: Say) -> dict[str, float]:
    """Every figure of `FIGURES`."""
    return {**await mep.measure(scale, say), **await mecapp.measure(scale, say)}
