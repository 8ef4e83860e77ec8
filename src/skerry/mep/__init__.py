"""The MEC platform (ETSI GS MEC 003): service registry, traffic and DNS rules, and what applications are told (Mp1)."""
