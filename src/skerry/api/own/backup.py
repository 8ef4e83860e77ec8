"""Our own API: a backup of the node, taken while it works and streamed to the caller."""

from __future__ import annotations

import hashlib
import shutil
import tempfile
from base64 import b64encode
from collections.abc import AsyncIterator
from pathlib import Path

from starlette.concurrency import run_in_threadpool
from starlette.responses import Response, StreamingResponse

from skerry.api.route import Call, Endpoint
from skerry.errors import UnavailableError

MEDIA = "application/x-tar"
CHUNK = 1 << 18


async def backup(call: Call) -> Response:
    """Everything that the node keeps, as a tar with checksums. `Repr-Digest` (RFC 9530) tells whether it came whole."""
    try:
        folder = Path(
            await run_in_threadpool(tempfile.mkdtemp, prefix=".sending-", dir=call.services.settings.data_dir)
        )
    except OSError as error:
        raise UnavailableError(
            f"cannot write the backup: {error.strerror}", suggestion="check the disk's space and rights"
        ) from error
    try:
        file = folder / "skerry-backup.tar"
        size = await call.services.backup(file)
        digest = await run_in_threadpool(_digest, file)
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    headers = {
        "Content-Length": str(size),
        "Repr-Digest": f"sha-256=:{b64encode(digest).decode()}:",
        "Content-Disposition": 'attachment; filename="skerry-backup.tar"',
        "Cache-Control": "no-store",
    }
    return StreamingResponse(_pieces(file), media_type=MEDIA, headers=headers)


def _digest(file: Path) -> bytes:
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").digest()


async def _pieces(file: Path) -> AsyncIterator[bytes]:
    """The file, which is gone afterwards, also when the caller hangs up."""
    try:
        with file.open("rb") as opened:
            while piece := await run_in_threadpool(opened.read, CHUNK):
                yield piece
    finally:
        shutil.rmtree(file.parent, ignore_errors=True)


ROUTES = (Endpoint("GET", "/backup", backup, "Back the node up", answer=bytes, produces=(MEDIA,)),)
