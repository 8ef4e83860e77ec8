"""Where the node is and how to get in: options, environment, the user's file, what a node on this machine left for us."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

import msgspec

from skerry.errors import InvalidError

DEFAULT_ENDPOINT = "https://127.0.0.1:8443"


class Profile(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """How to reach a node. `ca` is a file; `token` a secret, `token_file` where it is kept; or a client's id and secret,
    for which tokens are fetched; or the files of its certificate and key."""

    endpoint: str = ""
    token: str = ""
    token_file: str = ""
    ca: str = ""
    client_id: str = ""
    client_secret: str = ""
    certificate: str = ""
    certificate_key: str = ""

    @property
    def has_access(self) -> bool:
        """Whether it says by itself who calls."""
        return bool(self.token or self.token_file or self.client_id or self.certificate)


KEYS = ("endpoint", "token", "token_file", "ca", "client_id", "client_secret", "certificate", "certificate_key")
FILES = frozenset({"token_file", "ca", "certificate", "certificate_key"})
SECRET = frozenset({"token", "client_secret"})


def config_file(env: Mapping[str, str]) -> Path:
    """The user's own file: `$XDG_CONFIG_HOME/skerry/cli.json`."""
    home = Path(env.get("XDG_CONFIG_HOME") or Path(env.get("HOME") or "~").expanduser() / ".config")
    return home / "skerry" / "cli.json"


def local_file(env: Mapping[str, str]) -> Path:
    """What a node on this machine leaves for its own user: `client.json` in its data folder."""
    if env.get("SKERRY_DATA_DIR"):
        return Path(env["SKERRY_DATA_DIR"]) / "client.json"
    if os.geteuid() == 0:
        return Path("/var/lib/skerry/client.json")
    home = Path(env.get("XDG_DATA_HOME") or Path(env.get("HOME") or "~").expanduser() / ".local/share")
    return home / "skerry" / "client.json"


def read(path: Path) -> Profile:
    """A profile file; a missing one is empty. `InvalidError` for anything else in it."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=Profile)
    except (FileNotFoundError, PermissionError, NotADirectoryError):
        return Profile()
    except msgspec.DecodeError as error:
        raise InvalidError(f"cannot read {path}: {error}", suggestion="mend or remove the file") from error


def find(env: Mapping[str, str], given: Profile) -> Profile:
    """The profile to use: each value from the first that has it (options, environment, user's file, local node).

    A token and a CA belong to their endpoint: those of the local node are used for its endpoint only.
    """
    surroundings = Profile(
        endpoint=env.get("SKERRY_ENDPOINT", ""), token=env.get("SKERRY_TOKEN", ""), ca=env.get("SKERRY_CA", "")
    )
    chosen = _over(given, _over(surroundings, read(config_file(env))))
    local = read(local_file(env))
    if not chosen.endpoint or chosen.endpoint.rstrip("/") == local.endpoint.rstrip("/"):
        chosen = _over(chosen, local)
    endpoint = chosen.endpoint or DEFAULT_ENDPOINT
    return msgspec.structs.replace(chosen, endpoint=endpoint.rstrip("/"), token=chosen.token or _kept(chosen))


def _over(first: Profile, second: Profile) -> Profile:
    """Who calls is taken from one source as a whole: the first that says it."""
    chosen = first if first.has_access else second
    return msgspec.structs.replace(chosen, endpoint=first.endpoint or second.endpoint, ca=first.ca or second.ca)


def _kept(profile: Profile) -> str:
    if not profile.token_file:
        return ""
    try:
        return Path(profile.token_file).read_text().strip()
    except OSError as error:
        raise InvalidError(
            f"cannot read the token file {profile.token_file}: {error.strerror}",
            suggestion="name a readable file with `skerry config set token_file`, or set SKERRY_TOKEN",
        ) from error
