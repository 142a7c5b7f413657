"""Groups of commands, a module per command, each imported only when it is called."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from typing import Any

import click
from click.shell_completion import CompletionItem

from dmlbench.cli.renamed import warn


class LazyGroup(click.Group):
    """A group whose command `name` is ``<package>.<name>:<name>_command``.

    lazy: each command with the one line that --help shows, so help imports none of them.
    renamed: old command -> the words of the new one, from this group on.
    """

    def __init__(
        self,
        *args: Any,
        package: str,
        lazy: Mapping[str, str],
        renamed: Mapping[str, str] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(*args, **kwargs)
        self.package, self.lazy, self.renamed = package, lazy, renamed or {}

    def list_commands(self, context: click.Context) -> list[str]:
        return list(self.lazy)

    def get_command(self, context: click.Context, name: str) -> click.Command | None:
        if name not in self.lazy:
            return None
        return getattr(importlib.import_module(f"{self.package}.{name}"), f"{name}_command")

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        commands = [
            CompletionItem(name, help=line)
            for name, line in self.lazy.items()
            if name.startswith(incomplete)
        ]
        # Beside the options, which click knows.
        return [*commands, *click.Command.shell_complete(self, ctx, incomplete)]

    def format_commands(self, context: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(self.lazy.items()))

    def resolve_command(self, context: click.Context, args: list[str]):
        if args and args[0] in self.renamed:
            new = self.renamed[args[0]]
            warn(f"{context.command_path} {args[0]}", f"{context.command_path} {new}")
            args = [*new.split(), *args[1:]]
        try:
            return super().resolve_command(context, args)
        except click.UsageError as error:
            raise click.UsageError(
                f"There is no command {args[0]!r}. Commands: {', '.join(self.lazy)}.", context
            ) from error
