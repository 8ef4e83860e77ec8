"""Reference points of MEC 003 whose form the standard leaves open: Mm3* and Mm5."""

from skerry.api.mec003 import mm3, mm5
from skerry.api.route import Api

MM3 = Api("mm3", "Mm3*: orchestrator and platform managers beyond MEC 010-2", {1: "1.0.0"}, mm3.ROUTES)
MM5 = Api("mm5", "Mm5: configuration of a MEC platform by its manager", {1: "1.0.0"}, mm5.ROUTES)
