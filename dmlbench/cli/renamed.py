"""Old spellings of commands, options and their values: read for one release, with a warning."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import click


def warn(old: str, new: str) -> None:
    """Say on stderr that a spelling goes away, and what to write instead."""
    click.echo(
        f"Warning: {old} is now {new}; the old spelling goes with the next release.", err=True
    )


class RenamedOption(click.Option):
    """An option that is also read under its old names and values; help shows only the new ones.

    old_names: such as ``--width``, or the metavar of a `FormerArgument`.
    old_values: old value -> new value.
    """

    def __init__(
        self,
        *args: Any,
        old_names: Sequence[str] = (),
        old_values: Mapping[str, str] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(*args, **kwargs)
        self.old_names, self.old_values = old_names, old_values or {}

    def add_to_parser(self, parser: Any, ctx: click.Context) -> None:
        super().add_to_parser(parser, ctx)
        for name in self.old_names:
            if name.startswith("-"):
                action = "append" if self.multiple else "store"
                parser.add_option(self, [name], name, action=action, nargs=self.nargs)

    def consume_value(
        self, ctx: click.Context, opts: Mapping[str, Any]
    ) -> tuple[Any, click.core.ParameterSource]:
        new = self.opts[0]
        for name in self.old_names:
            given = opts.get(name if name.startswith("-") else name.lower())
            if not isinstance(given, str | list):
                continue
            warn(name, new)
            if isinstance(opts.get(self.name), str | list):
                raise click.UsageError(f"{name} and {new} are the same option; give one.", ctx)
            opts = {**opts, self.name: given}
        value, source = super().consume_value(ctx, opts)
        if isinstance(value, str):
            return self._current(value), source
        if isinstance(value, list | tuple):
            return type(value)(map(self._current, value)), source
        return value, source

    def _current(self, value: Any) -> Any:
        if value not in self.old_values:
            return value
        warn(f"{self.opts[0]} {value}", f"{self.opts[0]} {self.old_values[value]}")
        return self.old_values[value]


class FormerArgument(click.Argument):
    """A position that an option took over: parsed, left out of the usage, passed to no command.

    That option has its name, such as ``FOLDER``, among its `RenamedOption.old_names`.
    """

    def get_usage_pieces(self, ctx: click.Context) -> list[str]:
        return []


def former_argument(name: str) -> Callable[..., Any]:
    """Declare a `FormerArgument`."""
    return click.argument(name, cls=FormerArgument, required=False, expose_value=False)
