"""Images, keys and infrastructures of a node, as its users see them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import msgspec

from skerry.client.http import Http
from skerry.client.views import ImageView, KeyView, NewKey, StoredImageView, VimInfo
from skerry.model.images import Inventory

if TYPE_CHECKING:
    import httpx

OWN = "/skerry/v1"


class Stores:
    """What a node keeps for its instances, over one connection."""

    def __init__(self, http: Http) -> None:
        self._http = http

    # -- infrastructures --------------------------------------------------------------------------------------------------

    def change_vim(self, id: str, wished: Mapping[str, Any]) -> VimInfo:
        """Change an infrastructure."""
        return msgspec.json.decode(self._http.patch(f"{OWN}/vims/{id}", wished).content, type=VimInfo)

    def refresh(self, id: str) -> Inventory:
        """Look at an infrastructure now."""
        return msgspec.json.decode(self._http.send("POST", f"{OWN}/vims/{id}/refresh").content, type=Inventory)

    def delete_vims(self, ids: Sequence[str]) -> None:
        """Forget infrastructures: all or none."""
        self._http.post(f"{OWN}/vims/multiple_delete", {"ids": list(ids)})

    def vim_images(self, id: str) -> list[ImageView]:
        """The images of an infrastructure."""
        return self._http.every(f"{OWN}/vims/{id}/images", ImageView)

    def add_vim_image(self, id: str, name: str, source: str) -> ImageView:
        """Make an image available there."""
        response = self._http.post(f"{OWN}/vims/{id}/images", {"name": name, "source": source})
        return msgspec.json.decode(response.content, type=ImageView)

    def upload_vim_image(self, id: str, name: str, file: Path) -> ImageView:
        """Make the image in a file available there."""
        response = self._put(f"{OWN}/vims/{id}/images/{quote(name)}", file)
        return msgspec.json.decode(response.content, type=ImageView)

    def delete_vim_image(self, id: str, name: str) -> None:
        """Remove an image there."""
        self._http.send("DELETE", f"{OWN}/vims/{id}/images/{quote(name)}")

    # -- repository -------------------------------------------------------------------------------------------------------

    def images(self) -> list[StoredImageView]:
        """The images of the repository."""
        return self._http.every(f"{OWN}/images", StoredImageView)

    def upload_image(self, name: str, file: Path, description: str = "") -> StoredImageView:
        """Put a file into the repository. A refused one leaves no record behind."""
        made = self._http.post(f"{OWN}/images", {"name": name, "description": description}).json()
        try:
            response = self._put(f"{OWN}/images/{made['id']}/content", file)
        except BaseException:
            self._http.send("DELETE", f"{OWN}/images/{made['id']}")
            raise
        return msgspec.json.decode(response.content, type=StoredImageView)

    def download_image(self, id: str, target: Path) -> int:
        """Fetch an image into a new file; returns its size."""
        return self._http.fetch(f"{OWN}/images/{id}/content", target)

    def delete_image(self, id: str) -> None:
        """Delete an image of the repository."""
        self._http.send("DELETE", f"{OWN}/images/{id}")

    def _put(self, path: str, file: Path) -> httpx.Response:
        with file.open("rb") as content:
            headers = {"Content-Type": "application/octet-stream", "Content-Length": str(file.stat().st_size)}
            return self._http.send("PUT", path, content=content, headers=headers)

    # -- keys -------------------------------------------------------------------------------------------------------------

    def keys(self) -> list[KeyView]:
        """The keys."""
        return self._http.every(f"{OWN}/keys", KeyView)

    def add_key(self, name: str, public_key: str) -> KeyView:
        """Import a public key."""
        response = self._http.post(f"{OWN}/keys", {"name": name, "public_key": public_key})
        return msgspec.json.decode(response.content, type=KeyView)

    def generate_key(self, name: str) -> NewKey:
        """Make a key pair."""
        return msgspec.json.decode(self._http.post(f"{OWN}/keys/generate", {"name": name}).content, type=NewKey)

    def delete_key(self, id: str) -> None:
        """Forget a key."""
        self._http.send("DELETE", f"{OWN}/keys/{id}")
