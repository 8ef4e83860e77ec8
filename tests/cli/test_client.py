"""The client: problem details become the errors they were; where a node is looked for."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from skerry import errors
from skerry.api import problem
from skerry.client import profile
from skerry.client.http import LOGIN, error_of
from skerry.client.profile import Profile

KINDS = [
    kind
    for kind in vars(errors).values()
    if isinstance(kind, type) and issubclass(kind, errors.SkerryError) and kind is not errors.SkerryError
]


@pytest.mark.parametrize("kind", KINDS)
def test_an_error_survives_the_wire(kind: type[errors.SkerryError]) -> None:
    sent = kind("cannot do it", suggestion="do that")
    problem_of = problem.of(sent)
    got = error_of(problem_of.status, msgspec.json.encode(problem_of))
    assert (type(got), got.detail) == (kind, "cannot do it")
    # who is not known needs to be told what to do at the command line, not in HTTP
    assert got.suggestion == (LOGIN if kind is errors.UnauthorizedError else "do that")


def test_faults_survive_the_wire() -> None:
    faults = (errors.Fault(message="bad", file="a.yaml", line=3, column=4, path="x/y", fix="mend it"),)
    sent = problem.of(errors.InvalidError("cannot read", faults=faults))
    assert error_of(422, msgspec.json.encode(sent)).faults == faults


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        (404, b"<html>no</html>", errors.NotFoundError),
        (409, b'{"detail": "cannot", "type": "about:blank"}', errors.ConflictError),
        (500, b"", errors.SkerryError),
        (418, b"{}", errors.SkerryError),
    ],
)
def test_answers_of_strangers(status: int, body: bytes, kind: type[errors.SkerryError]) -> None:
    assert type(error_of(status, body)) is kind


def test_where_a_node_is_looked_for(tmp_path: Path) -> None:
    env = {"XDG_CONFIG_HOME": str(tmp_path / "config"), "SKERRY_DATA_DIR": str(tmp_path / "data")}
    assert profile.find(env, Profile()).endpoint == profile.DEFAULT_ENDPOINT
    (tmp_path / "data").mkdir()
    (tmp_path / "token").write_text("sk_local\n")
    local = Profile(endpoint="https://here:1", token_file=str(tmp_path / "token"), ca="local.pem")
    (tmp_path / "data/client.json").write_bytes(msgspec.json.encode(local))
    found = profile.find(env, Profile())
    assert (found.endpoint, found.token, found.ca) == ("https://here:1", "sk_local", "local.pem")
    away = profile.find({**env, "SKERRY_ENDPOINT": "https://away:2"}, Profile())
    assert (away.endpoint, away.token, away.ca) == ("https://away:2", "", "")
    given = profile.find({**env, "SKERRY_TOKEN": "sk_env"}, Profile(endpoint="https://here:1/"))
    assert (given.endpoint, given.token, given.ca) == ("https://here:1", "sk_env", "local.pem")


def test_a_broken_profile_is_named(tmp_path: Path) -> None:
    file = tmp_path / "cli.json"
    file.write_text('{"endpiont": "x"}')
    with pytest.raises(errors.InvalidError, match=str(file)):
        profile.read(file)
