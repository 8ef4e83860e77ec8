"""HTTP bindings: a folder per specification, a module per resource, which decode, call a service, encode."""
