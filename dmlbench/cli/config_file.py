"""A run written down: a TOML file with the options of `run`, `plan` and `tune` by their names."""

from __future__ import annotations

import difflib
import importlib
import stat
import tomllib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import click

from dmlbench.cli.paths import PathType

# One file serves them all: an option that a command does not have is left to the others.
_COMMANDS = ("run", "plan", "tune")
# How a command shows what it does is not part of what it does.
_NOT_IN_A_FILE = {"help", "config", "write", "json", "quiet", "verbose"}


def config_option(command: Callable[..., Any]) -> Callable[..., Any]:
    """``--config FILE``: values for options that the command line does not give."""
    return click.option(
        "--config",
        metavar="FILE",
        type=PathType(path_type=Path),
        is_eager=True,
        expose_value=False,
        callback=_read,
        help='Take options from a TOML file, by their names: losses = ["triplet", "ms"], '
        "set.recipe.epochs = 4. Options given here override it.",
    )(command)


def _read(ctx: click.Context, _: click.Parameter, path: Path | None) -> None:
    if path is None:
        return
    known = {name: param for command in _COMMANDS for name, param in _options(command).items()}
    own = _names(ctx.command)
    values = {}
    for key, value in _table(path).items():
        name = key.replace("_", "-")
        if name not in known:
            close = difflib.get_close_matches(name, known, n=1)
            hint = f" Did you mean {close[0]}?" if close else ""
            raise click.UsageError(
                f"{path}: there is no option {key!r}.{hint} Allowed: {', '.join(sorted(known))}."
            )
        if name in own:
            values[own[name].name] = _as_given(path, key, own[name], value)
    ctx.default_map = {**(ctx.default_map or {}), **values}


def _table(path: Path) -> dict[str, Any]:
    try:
        if not stat.S_ISREG(path.stat().st_mode):  # a pipe would block
            raise click.UsageError(f"{path} is not a regular file.")
        return tomllib.loads(path.read_text("utf-8"))
    except OSError as error:
        raise click.UsageError(f"{path} cannot be read: {error.strerror}.") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise click.UsageError(f"{path} is not TOML: {error}.") from error


def _options(command: str) -> dict[str, click.Parameter]:
    module = importlib.import_module(f"dmlbench.cli.{command}")
    return _names(getattr(module, f"{command}_command"))


def _names(command: click.Command) -> dict[str, click.Parameter]:
    """The options of a command by their long names, without those that a file does not hold."""
    found = {}
    for param in command.params:
        for text in param.opts:
            if text.startswith("--") and text[2:] not in _NOT_IN_A_FILE:
                found[text[2:]] = param
    return found


def _as_given(path: Path, key: str, param: click.Parameter, value: Any) -> Any:
    """A TOML value as the command line would give it."""
    if param.multiple:
        if isinstance(value, Mapping):
            from dmlbench.plan.expressions import dotted
            from dmlbench.plan.writing import toml_value

            return [f"{name}={toml_value(v)}" for name, v in dotted(value).items()]
        return [str(one) for one in (value if isinstance(value, list) else [value])]
    if isinstance(param.type, click.types.BoolParamType) or param.is_flag:
        if not isinstance(value, bool):
            raise click.UsageError(f"{path}: {key} must be true or false, not {value!r}.")
        return value
    if isinstance(value, list):
        text = ",".join(map(str, value))
        # One number alone would be a count.
        return f"{text}," if len(value) == 1 and isinstance(value[0], int) else text
    if isinstance(value, Mapping | bool):
        raise click.UsageError(f"{path}: {key} cannot be {value!r}.")
    return str(value)


def written(ctx: click.Context) -> str:
    """The options of this call, those of its configuration file included, as such a file."""
    from dmlbench.plan.expressions import split_list
    from dmlbench.plan.writing import toml_value

    lines = []
    for name, param in _names(ctx.command).items():
        source = ctx.get_parameter_source(param.name)
        if source in (click.core.ParameterSource.DEFAULT, None):
            continue
        value = ctx.params[param.name]
        if name == "set":
            for text in value:
                key, _, right = text.partition("=")
                lines.append((f"set.{key.strip()}", _toml(right)))
        elif name in ("losses", "combiner", "combiners"):
            if name == "combiners":
                continue  # another name of combiner
            lines.append((name, toml_value(split_list(value))))
        elif isinstance(value, tuple):
            lines.append((name, toml_value(list(value))))
        else:
            lines.append((name, toml_value(str(value) if isinstance(value, Path) else value)))
    return "".join(f"{key} = {value}\n" for key, value in lines)


def _toml(text: str) -> str:
    """A value of ``--set`` in TOML: what it is read as."""
    from dmlbench.plan.expressions import parse_value
    from dmlbench.plan.writing import toml_value

    return toml_value(parse_value(text)) if parse_value(text) is not None else '"none"'
