"""Indicators of VNFs."""

from __future__ import annotations

from skerry.model.indicators import VnfIndicators
from skerry.store.documents import Collection

indicators = Collection("vnf_indicators", VnfIndicators, "VNF with indicators")
