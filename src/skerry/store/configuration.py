"""Configurations of VNFs."""

from __future__ import annotations

from skerry.model.configuration import VnfConfiguration
from skerry.store.documents import Collection

configurations = Collection("vnf_configurations", VnfConfiguration, "VNF configuration")
