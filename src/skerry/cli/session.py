"""What every command shares: the connection to the node, `--json`, names to ids, parameters from the command line."""

from __future__ import annotations

import functools
import os
import sys
from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Concatenate, ParamSpec, Protocol, TextIO, TypeVar

import click
import msgspec

from skerry.cli import output
from skerry.client.node import NodeClient
from skerry.client.profile import Profile, find
from skerry.errors import ConflictError, InvalidError, NotFoundError

P = ParamSpec("P")
R = TypeVar("R")
L = TypeVar("L")


class Named(Protocol):
    """Something with an id and a name."""

    @property
    def id(self) -> str: ...
    @property
    def name(self) -> str: ...


N = TypeVar("N", bound=Named)


class Session:
    """One run of a command."""

    def __init__(self, profile: Profile, *, as_json: bool) -> None:
        self.profile = profile
        self.as_json = as_json
        self._node: NodeClient | None = None

    @property
    def node(self) -> NodeClient:
        """The node; for a profile with client credentials, its token is fetched when it is first asked."""
        if self._node is None:
            from skerry.client.login import with_token  # noqa: PLC0415

            self._node = NodeClient(with_token(self.profile, os.environ))
        return self._node

    def close(self) -> None:
        """Let the connections go."""
        if self._node is not None:
            self._node.close()

    def emit(self, value: Any) -> None:
        """The answer of a command as JSON, the form that programs read."""
        click.echo(msgspec.json.format(msgspec.json.encode(value), indent=2))

    def table(self, found: Sequence[L], columns: Sequence[str], row: Callable[[L], Sequence[str]]) -> None:
        """A list: a table for people, JSON for programs."""
        if self.as_json:
            self.emit(found)
        else:
            output.table(columns, map(row, found))


def command(function: Callable[Concatenate[Session, P], R]) -> Callable[P, R]:
    """Give a command `--json` and its session."""

    @click.option("--json", "as_json", is_flag=True, help="Print JSON for programs.")
    @click.pass_context
    @functools.wraps(function)
    def wrapped(ctx: click.Context, /, *args: P.args, **kwargs: P.kwargs) -> R:
        as_json = bool(kwargs.pop("as_json"))
        # Any further spot of the context tree sees it too: the group prints errors in this form.
        ctx.meta["skerry.json"] = as_json
        profile = find(os.environ, Profile(**ctx.find_root().obj))
        session = Session(profile, as_json=as_json)
        ctx.call_on_close(session.close)
        return function(session, *args, **kwargs)

    return wrapped


def pick(items: Sequence[N], wanted: str, what: str, *, also: Callable[[N], str] | None = None) -> N:
    """The one that `wanted` means: its id, its name (or what `also` gives), or a unique beginning of its id."""
    for test in (
        lambda item: item.id == wanted,
        lambda item: item.name == wanted,
        lambda item: also is not None and also(item) == wanted,
        lambda item: len(wanted) >= 2 and item.id.startswith(wanted),
    ):
        found = [item for item in items if test(item)]
        if len(found) == 1:
            return found[0]
        if found:
            several = ", ".join(f"{item.id} ({item.name})" for item in found[:8])
            raise InvalidError(f"cannot tell which {what} {wanted} means: {several}", suggestion="give more of the id")
    known = ", ".join(sorted(item.name or item.id for item in items)[:12]) or "none"
    raise NotFoundError(f"cannot find the {what} {wanted}", suggestion=f"there are: {known}")


def full_id(ids: Iterable[str], wanted: str, what: str, *, whole: bool = False) -> str:
    """The id among these that `wanted` means: itself, as tables shorten it, or (unless it must be `whole`) a unique beginning
    of either. What is none of them stays as it is: the node may know it, or says that it does not."""
    shown = {one: output.brief(one) for one in ids}
    begun = not whole and len(wanted) >= 2
    for found in (
        [one for one in shown if one == wanted],
        [one for one, brief in shown.items() if brief == wanted],
        [one for one, brief in shown.items() if begun and (one.startswith(wanted) or brief.startswith(wanted))],
    ):
        if len(found) == 1:
            return found[0]
        if found:
            raise InvalidError(
                f"cannot tell which {what} {wanted} means: {', '.join(found[:8])}", suggestion="give more of the id"
            )
    return wanted


def new_file(file: Path) -> TextIO:
    """A new file that its owner alone can read."""
    try:
        return open(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w")
    except FileExistsError as error:
        raise ConflictError(f"cannot write {file}: it exists", suggestion="name a new file") from error
    except OSError as error:
        raise InvalidError(f"cannot write {file}: {error.strerror}", suggestion="name a file in a folder") from error


def pairs(given: Iterable[str], option: str) -> dict[str, Any]:
    """`KEY=VALUE` options as a map; a value that is JSON (a number, true, a list …) is taken as such."""
    found: dict[str, Any] = {}
    for text in given:
        key, sign, value = text.partition("=")
        if not sign or not key:
            raise InvalidError(f"cannot read {option} {text}", suggestion=f"write {option} KEY=VALUE")
        found[key] = _value(value)
    return found


def _value(text: str) -> Any:
    try:
        return msgspec.json.decode(text)
    except msgspec.DecodeError:
        return text


def body(file: str | None, more: Mapping[str, Any]) -> dict[str, Any]:
    """The body of a request: a JSON or YAML file ("-" = stdin) with the options laid over it."""
    base: Any = {}
    if file:
        base = _structured(text_of(file), file)
        if not isinstance(base, dict):
            raise InvalidError(f"cannot use {file}: it holds no map", suggestion="write the body of the request")
    return {**base, **{key: value for key, value in more.items() if value not in (None, "", {}, [])}}


def text_of(file: str | Path) -> str:
    """What a text file holds, or what comes on stdin for "-"."""
    if str(file) == "-":
        return sys.stdin.read()
    try:
        return Path(file).read_text()
    except FileNotFoundError as error:
        raise NotFoundError(f"cannot find the file {file}", suggestion="name a file that is there") from error
    except OSError as error:
        raise InvalidError(f"cannot read {file}: {error.strerror}", suggestion="name a readable file") from error
    except UnicodeDecodeError as error:
        raise InvalidError(f"cannot read {file}: it is no text", suggestion="name a text file in UTF-8") from error


def sure(question: str, *, yes: bool) -> None:
    """Ask before something is destroyed, unless `yes` was given. Who says no ends the command with code 1."""
    if yes:
        return
    with _answered("whether to go on", "give --yes"):
        agreed = click.confirm(question, err=True)
    if not agreed:
        raise click.Abort


def asked(what: str, *, hidden: bool, otherwise: str) -> str:
    """Ask for a value; `otherwise` says how it is given where nobody can be asked."""
    with _answered(f"for the {what}", otherwise):
        return str(click.prompt(what, hide_input=hidden, err=True))


@contextmanager
def _answered(what: str, otherwise: str) -> Generator[None]:
    try:
        yield
    except click.Abort as error:
        if sys.stdin.isatty():
            raise  # Ctrl-C
        click.echo(err=True)
        raise InvalidError(f"cannot ask {what}: nobody answers", suggestion=otherwise) from error


def _structured(text: str, file: str) -> Any:
    try:
        return msgspec.json.decode(text)
    except msgspec.DecodeError:
        import yaml  # noqa: PLC0415  # only for people who prefer it

        try:
            return yaml.safe_load(text)
        except yaml.YAMLError as error:
            raise InvalidError(f"cannot read {file}: {error}", suggestion="write JSON or YAML") from error
