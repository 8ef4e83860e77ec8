"""Kubernetes quantities: `250m`, `0.5`, `64Mi`, `1e9`."""

from __future__ import annotations

import re
from decimal import Decimal

_QUANTITY = re.compile(r"([0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE]([+-]?[0-9]{1,3})|([numkMGTPE]|[KMGTPE]i))?")
_DECIMAL = {"n": -9, "u": -6, "m": -3, "k": 3, "M": 6, "G": 9, "T": 12, "P": 15, "E": 18}
_BINARY = {"Ki": 10, "Mi": 20, "Gi": 30, "Ti": 40, "Pi": 50, "Ei": 60}
_LONGEST = 40
_LARGEST = 2**62


def quantity(text: str) -> Decimal | None:
    """The number that a quantity means; None if it is none, is negative or is beyond 2^62."""
    match = _QUANTITY.fullmatch(text) if len(text) <= _LONGEST else None
    if match is None:
        return None
    digits, exponent, suffix = match.groups()
    if suffix in _BINARY:
        number = Decimal(digits) * (1 << _BINARY[suffix])
    else:
        number = Decimal(digits).scaleb(int(exponent) if exponent else _DECIMAL.get(suffix, 0))
    return number if number <= _LARGEST else None
