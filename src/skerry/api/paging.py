"""Paging of lists (SOL013 clause 5.4, alternative 2): a `Link` header with an opaque marker for the next page."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Sequence
from typing import Protocol, TypeVar
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

from skerry.errors import MalformedError
from skerry.model.queries import Place

MARKER = "nextpage_opaque_marker"


class Ordered(Protocol):
    """What a page is cut by: time of creation, then id. Entries that come or go meanwhile shift nothing."""

    @property
    def id(self) -> str: ...


T = TypeVar("T", bound=Ordered)


def order(item: Ordered) -> tuple[str, str]:
    """The place of an entry in its list."""
    return (str(getattr(item, "created_at", "") or getattr(item, "started_at", "")), item.id)


def page(items: Sequence[T], marker: str, size: int) -> tuple[list[T], str]:
    """The entries after `marker` in order, at most `size`, and the marker of the next page ("" = this is the last)."""
    after = _decode(marker) if marker else ("", "")
    rest = sorted((item for item in items if order(item) > after), key=order)
    cut = rest[:size]
    return cut, _encode(order(cut[-1])) if len(rest) > size else ""


def after(marker: str) -> Place:
    """The place that a marker names; before the first where there is none."""
    return Place(*_decode(marker)) if marker else Place()


def marker_of(item: Ordered) -> str:
    """The marker of the page behind an entry."""
    return _encode(order(item))


def link(url: str, marker: str) -> str:
    """The value of the `Link` header that names the next page of the list at `url`."""
    parts = urlsplit(url)
    query = [(key, value) for key, value in parse_qsl(parts.query, keep_blank_values=True) if key != MARKER]
    target = urlunsplit(parts._replace(query=urlencode([*query, (MARKER, marker)])))
    return f'<{target}>; rel="next"'


def _encode(place: tuple[str, str]) -> str:
    return base64.urlsafe_b64encode("\n".join(place).encode()).decode().rstrip("=")


def _decode(marker: str) -> tuple[str, str]:
    try:
        padded = marker + "=" * (-len(marker) % 4)
        created, parted, last = base64.b64decode(padded, altchars=b"-_", validate=True).decode().partition("\n")
    except (binascii.Error, ValueError) as error:
        raise _unusable(marker) from error
    if not parted:
        raise _unusable(marker)
    return created, last


def _unusable(marker: str) -> MalformedError:
    return MalformedError(
        f"cannot use the page marker {marker[:40]!r}", suggestion="follow the Link header of the previous page"
    )
