"""What tuning found: a record per configuration, kept in the folder of the leaderboards.

``<out>/.trials/tuning/<label>-<setting>.json``. A setting is all that was held fixed while values
were tried, so a record speaks for exactly the runs that share it.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from dmlbench.errors import UsageError
from dmlbench.leaderboard.entries.tuning import TuningRecord
from dmlbench.plan.conditions import effective
from dmlbench.plan.config import Component, Configuration
from dmlbench.plan.identity import same, sha256_of
from dmlbench.plan.search_space import fixed_identity, search_space, values_of, with_values
from dmlbench.plan.writing import write_call, write_copies
from dmlbench.plugins.registry import Registry
from dmlbench.training.trial_folder import TRIALS


@dataclass(frozen=True)
class Setting:
    """A configuration whose searched values are free.

    space: what may be tried, by key (`dmlbench.plan.search_space`).
    fixed: keys of the values that the user gave.
    """

    configuration: Configuration
    space: Mapping[str, Any]
    fixed: tuple[str, ...] = ()

    def start(self) -> dict[str, Any]:
        """The values that tuning starts from: what the configuration has."""
        return values_of(self.configuration, self.space)

    def effective(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """The values of the whole space, those without an effect beside others as at the start."""
        return effective(self.space, values, self.start())

    def as_given(self) -> tuple[list[str], str | None]:
        """Losses and combiner (None: none) with the parameters that the user gave."""

        def text(owner: str, part: Component) -> str:
            start = f"{owner}."
            given = (key.removeprefix(start) for key in self.fixed if key.startswith(start))
            return write_call(part.name, {name: part.params[name] for name in given})

        configuration = self.configuration
        losses = [text(f"losses[{i}]", loss) for i, loss in enumerate(configuration.losses)]
        combiner = configuration.combiner
        return losses, None if combiner is None else text("combiner", combiner)

    def at(self, values: Mapping[str, Any]) -> Configuration:
        """The configuration with some of the searched values changed."""
        return with_values(self.configuration, values)

    @property
    def sha256(self) -> str:
        """Hash of what is held fixed, and of the names of what is not."""
        return sha256_of([fixed_identity(self.configuration, self.space), sorted(self.space)])

    def path(self, out: Path) -> Path:
        """Where the record of this setting is kept."""
        return _folder(out) / f"{_file_name(self.configuration)}-{self.sha256[:12]}.json"

    def read(self, out: Path) -> TuningRecord | None:
        """The record of this setting, or None where there is none that can be read."""
        record = _read(self.path(out))
        return record if record is not None and record.setting_sha256 == self.sha256 else None


def setting_of(
    configuration: Configuration, registry: Registry, fixed: Collection[str] = ()
) -> Setting:
    """What can be tuned of a configuration.

    fixed: keys of the values that the user gave, which stay as they are.
    """
    space = search_space(configuration, registry, fixed)
    return Setting(configuration, space, tuple(sorted(fixed)))


def tuned(
    out: Path, configuration: Configuration, registry: Registry, fixed: Collection[str] = ()
) -> Configuration:
    """The configuration with the values that tuning found best for it as a whole.

    Raises `UsageError` where it has not been tuned in this setting.
    """
    setting = setting_of(configuration, registry, fixed)
    if not setting.space:
        return configuration
    record = setting.read(out)
    if record is None or record.best is None:
        losses, combiner = setting.as_given()
        named = ("--losses", ",".join(write_copies(losses)), "--combiner", combiner or "none")
        raise UsageError(
            f"--tuned: {configuration.label()} has not been tuned in {out} for this dataset, "
            f"backbone, recipe and protocol. First: dmlbench tune {shlex.join(named)}, "
            f"with the other options as here."
        )
    return setting.at(record.best.params)


def tuning_of(out: Path, configuration: Configuration) -> list[TuningRecord]:
    """The records by which the configuration's values were chosen: those whose best it has."""
    found = []
    for path in sorted(_folder(out).glob(f"{_file_name(configuration)}-*.json")):
        record = _read(path)
        if record is None or record.best is None:
            continue
        setting = Setting(configuration, record.space)
        chosen = values_of(configuration, record.best.params)
        if setting.sha256 == record.setting_sha256 and same(chosen, record.best.params):
            found.append(record)
    return found


def _folder(out: Path) -> Path:
    return out / TRIALS / "tuning"


def _file_name(configuration: Configuration) -> str:
    """The label in letters that any file system takes, and not longer than one allows."""
    return re.sub(r"[^a-z0-9]+", "-", configuration.label().lower()).strip("-")[:80]


def _read(path: Path) -> TuningRecord | None:
    try:
        return TuningRecord.model_validate_json(path.read_bytes())
    except (OSError, ValidationError):
        return None
