"""Reads a ring of events of the kernel (BPF_MAP_TYPE_RINGBUF): records in order, each once."""

from __future__ import annotations

import mmap
import struct
from collections.abc import Iterator

from skerry.dataplane.ebpf.kernel import Map

_BUSY, _DISCARDED = 1 << 31, 1 << 30
_HEAD = 8


class Ring:
    """The reading end of a ring; one reader at a time."""

    def __init__(self, source: Map) -> None:
        page = mmap.PAGESIZE
        self._size = source.entries
        self._consumer = mmap.mmap(source.fd, page)
        self._data = mmap.mmap(source.fd, page + 2 * self._size, mmap.MAP_SHARED, mmap.PROT_READ, offset=page)
        self._page = page

    def close(self) -> None:
        """Stop reading."""
        self._consumer.close()
        self._data.close()

    def records(self) -> Iterator[bytes]:
        """What has been written since."""
        at = int(struct.unpack_from("<Q", self._consumer)[0])
        while at < int(struct.unpack_from("<Q", self._data)[0]):
            here = self._page + at % self._size
            head = int(struct.unpack_from("<I", self._data, here)[0])
            if head & _BUSY:
                return
            size = head & ~_DISCARDED
            record = self._data[here + _HEAD : here + _HEAD + size]
            at += size + _HEAD + 7 & ~7
            struct.pack_into("<Q", self._consumer, 0, at)
            if not head & _DISCARDED:
                yield record
