"""Skerry: network services (ETSI NFV) and edge applications (ETSI MEC) over many small sites, in one light program."""

__version__ = "0.1.0"
