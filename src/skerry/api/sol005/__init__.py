"""SOL005: NSD and VNF package management, NS life-cycle management."""

from skerry.api.route import Api
from skerry.api.sol005 import ns_instances, ns_operations, nsd, pnfd, subscriptions, vnf_packages, vnf_snapshots

NSD = nsd.API._replace(endpoints=(*nsd.API.endpoints, *pnfd.ROUTES, *subscriptions.NSD))
VNFPKGM = vnf_packages.API._replace(endpoints=(*vnf_packages.API.endpoints, *subscriptions.VNFPKGM))
NSLCM = Api(
    "nslcm",
    "SOL005 NS life-cycle management",
    {2: "2.3.0", 1: "1.3.0"},
    (*ns_instances.ROUTES, *ns_operations.ROUTES, *vnf_snapshots.ROUTES, *subscriptions.NSLCM),
)
