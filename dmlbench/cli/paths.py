"""Paths as options and arguments of commands."""

from __future__ import annotations

from typing import Any

import click


class PathType(click.Path):
    """As `click.Path`, without the empty text, which would silently mean the current folder.

    A script writes it where a variable of its own is empty.
    """

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        if value in ("", b""):
            self.fail("an empty path names nothing; . is the current folder", param, ctx)
        return super().convert(value, param, ctx)
