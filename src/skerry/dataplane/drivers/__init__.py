"""The engines of the data plane, a module with a class `Driver` each; `skerry.dataplane.catalogue` finds them."""
