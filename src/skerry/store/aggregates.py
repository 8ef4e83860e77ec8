"""The collections of the store, one for each aggregate."""

from __future__ import annotations

from skerry.model.capacity import CapacityThreshold
from skerry.model.coordination import Coordination
from skerry.model.grants import GrantRecord
from skerry.model.images import KeyPair, StoredImage
from skerry.model.ns import NsdInfo, NsInstance, PnfdInfo
from skerry.model.vnf import VimConnection, VnfInstance, VnfPkgInfo, VnfSnapshotInfo, VnfSnapshotPkgInfo
from skerry.store.documents import Collection

vims = Collection("vims", VimConnection, "VIM")
vnf_packages = Collection("vnf_packages", VnfPkgInfo, "VNF package", {"vnfd_id": lambda doc: doc.vnfd_id})
nsds = Collection("nsds", NsdInfo, "NSD", {"nsd_id": lambda doc: doc.nsd_id})
pnfds = Collection("pnfds", PnfdInfo, "PNFD", {"pnfd_id": lambda doc: doc.pnfd_id})
vnf_instances = Collection(
    "vnf_instances",
    VnfInstance,
    "VNF instance",
    {
        "vnf_pkg_id": lambda doc: doc.vnf_pkg_id,
        "ns_id": lambda doc: doc.ns_id,
        # what long lists are filtered and ordered by
        "created_at": lambda doc: doc.created_at,
        "vnf_instance_name": lambda doc: doc.vnf_instance_name,
        "vnfd_id": lambda doc: doc.vnfd_id,
        "vnf_provider": lambda doc: doc.vnf_provider,
        "vnf_product_name": lambda doc: doc.vnf_product_name,
        "vnf_software_version": lambda doc: doc.vnf_software_version,
        "vnfd_version": lambda doc: doc.vnfd_version,
        "instantiation_state": lambda doc: doc.instantiation_state,
    },
)
ns_instances = Collection("ns_instances", NsInstance, "NS instance", {"nsd_info_id": lambda doc: doc.nsd_info_id})
vnf_snapshots = Collection(
    "vnf_snapshots", VnfSnapshotInfo, "VNF snapshot", {"vnf_instance_id": lambda doc: doc.vnf_instance_id}
)
capacity_thresholds = Collection("capacity_thresholds", CapacityThreshold, "capacity threshold")
coordinations = Collection("coordinations", Coordination, "coordination")
vnf_snapshot_packages = Collection("vnf_snapshot_packages", VnfSnapshotPkgInfo, "VNF snapshot package")
grants = Collection("grants", GrantRecord, "grant", {"operation": lambda doc: doc.asked.vnf_lcm_op_occ_id})
stored_images = Collection("stored_images", StoredImage, "image", {"name": lambda doc: doc.name})
key_pairs = Collection("key_pairs", KeyPair, "key", {"name": lambda doc: doc.name})
