"""Our own API: what ETSI's do not have, and views made for people."""

from skerry.api.own import instances, node, operations
from skerry.api.route import Api

API = Api("skerry", "Skerry", {1: "1.0.0"}, (*node.ROUTES, *operations.ROUTES, *instances.ROUTES))
