"""SOL003: VNF life-cycle management."""

from skerry.api.route import Api
from skerry.api.sol003 import subscriptions, vnf_instances, vnf_operations, vnf_snapshots

VNFLCM = Api(
    "vnflcm",
    "SOL003 VNF life-cycle management",
    {2: "2.3.0", 1: "1.3.0"},
    (*vnf_instances.ROUTES, *vnf_operations.ROUTES, *vnf_snapshots.ROUTES, *subscriptions.ROUTES),
)
