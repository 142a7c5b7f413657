"""Groups of commands, a module a command, each imported only when it is called."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from typing import Any

import click


class LazyGroup(click.Group):
    """A group whose command `name` is ``<package>.<name>:<name>_command``.

    lazy: each command with the one line that --help shows, so help imports none of them.
    A hyphen in a command's name is an underscore in its module's.
    """

    def __init__(self, *args: Any, package: str, lazy: Mapping[str, str], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.package, self.lazy = package, lazy

    def list_commands(self, context: click.Context) -> list[str]:
        return list(self.lazy)

    def get_command(self, context: click.Context, name: str) -> click.Command | None:
        if name not in self.lazy:
            return None
        module = name.replace("-", "_")
        return getattr(importlib.import_module(f"{self.package}.{module}"), f"{module}_command")

    def format_commands(self, context: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(self.lazy.items()))

    def resolve_command(self, context: click.Context, args: list[str]):
        try:
            return super().resolve_command(context, args)
        except click.UsageError as error:
            raise click.UsageError(
                f"There is no command {args[0]!r}. Commands: {', '.join(self.lazy)}.", context
            ) from error
