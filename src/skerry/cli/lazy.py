"""Click groups that import a command's module when the command is used, and show our errors with their exit code."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import IO, Any, cast

import click

from skerry.cli.exits import code_of
from skerry.errors import SkerryError


class Failure(click.ClickException):
    """An error of ours on its way to the terminal."""

    def __init__(self, error: SkerryError, *, as_json: bool) -> None:
        super().__init__(error.detail)
        self.error = error
        self.as_json = as_json

    @property
    def exit_code(self) -> int:  # type: ignore[override]
        """The code of the error's class."""
        return code_of(self.error)

    def show(self, file: IO[Any] | None = None) -> None:
        """Print it to stderr: the text, every fault, what to do next."""
        if self.as_json:
            click.echo(_json(self.error, self.exit_code), err=True)
            return
        click.echo(f"{click.style('error:', fg='red', bold=True)} {self.error.detail}", err=True)
        for fault in self.error.faults:
            click.echo(f"  {fault}", err=True)
        if self.error.suggestion:
            click.echo(f"{click.style('try:', fg='cyan')} {self.error.suggestion}", err=True)


def _json(error: SkerryError, code: int) -> bytes:
    import msgspec  # noqa: PLC0415

    told = {
        "error": type(error).__name__.removesuffix("Error"),
        "detail": error.detail,
        "suggestion": error.suggestion,
        "faults": error.faults,
        "exit_code": code,
    }
    return msgspec.json.encode(told)


class Lazy(click.Group):
    """A group whose commands are `module:attribute` texts until they are used."""

    def __init__(self, *args: Any, commands_at: Mapping[str, str] | None = None, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._at = dict(commands_at or {})

    def list_commands(self, ctx: click.Context) -> list[str]:
        """All names, sorted."""
        return sorted({*self.commands, *self._at})

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command of a name."""
        place = self._at.get(cmd_name)
        if place is None:
            return super().get_command(ctx, cmd_name)
        module, _, attribute = place.partition(":")
        return cast("click.Command", getattr(import_module(module), attribute))

    def invoke(self, ctx: click.Context) -> Any:
        """Run it; our errors become exit codes."""
        try:
            return super().invoke(ctx)
        except SkerryError as error:
            raise Failure(error, as_json=bool(ctx.meta.get("skerry.json"))) from error
