"""Click groups that import a command's module when the command is used, and show our errors with their exit code."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from itertools import takewhile
from typing import IO, Any, cast

import click

from skerry.cli.examples import epilog
from skerry.cli.exits import INTERRUPTED, code_of
from skerry.cli.known import prepare
from skerry.errors import InvalidError, SkerryError


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
        self._say(f"{click.style('error:', fg='red', bold=True)} {self.error.detail}")
        for fault in self.error.faults:
            self._say(f"  {fault}")
        if self.error.suggestion:
            self._say(f"{click.style('try:', fg='cyan')} {self.error.suggestion}")

    def _say(self, text: str) -> None:
        # the context, which knows whether colours are wanted, is gone when errors are shown
        click.echo(text, err=True, color=self.show_color)


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


class Misuse(click.UsageError):
    """A wrong use of a command, told to programs as other errors are."""

    def show(self, file: IO[Any] | None = None) -> None:
        """Print it to stderr as JSON."""
        where = self.ctx.command_path if self.ctx else "skerry"
        told = InvalidError(self.format_message(), suggestion=f"`{where} --help`")
        click.echo(_json(told, self.exit_code), err=True)


class Lazy(click.Group):
    """A group whose commands are `module:attribute` texts until they are used. Groups made by its decorators are such ones."""

    group_class = type

    def __init__(self, *args: Any, commands_at: Mapping[str, str] | None = None, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._at = dict(commands_at or {})

    def list_commands(self, ctx: click.Context) -> list[str]:
        """All names, sorted."""
        return sorted({*self.commands, *self._at})

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command of a name, with its examples."""
        place = self._at.get(cmd_name)
        if place is None:
            found = super().get_command(ctx, cmd_name)
        else:
            module, _, attribute = place.partition(":")
            found = cast("click.Command", getattr(import_module(module), attribute))
        if found is not None and found.epilog is None:
            found.epilog = epilog(f"{ctx.command_path} {cmd_name}")
            prepare(found)
        return found

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The commands with the first sentence of each, whole."""
        found = [(name, self.get_command(ctx, name)) for name in self.list_commands(ctx)]
        rows = [(name, one.get_short_help_str(WHOLE)) for name, one in found if one is not None and not one.hidden]
        with formatter.section("Commands"):
            formatter.write_dl(rows)

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Note early whether the answer shall be JSON: what is wrong with the words after is told so, too."""
        if ctx.parent is None:
            ctx.meta["skerry.json"] = "--json" in takewhile(lambda word: word != "--", args)
        return super().parse_args(ctx, args)

    def invoke(self, ctx: click.Context) -> Any:
        """Run it; our errors become exit codes."""
        try:
            return super().invoke(ctx)
        except SkerryError as error:
            raise Failure(error, as_json=ctx.meta.get("skerry.json", False)) from error
        except click.UsageError as error:
            if ctx.meta.get("skerry.json") and not isinstance(error, Misuse):
                raise Misuse(error.format_message(), error.ctx) from error
            raise
        except KeyboardInterrupt:
            raise SystemExit(INTERRUPTED) from None


WHOLE = 400
"""So long a first sentence of a command's help is shown as it is; terminals break it into lines."""
