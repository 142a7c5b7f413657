"""What tuning found: a record a component, kept in the folder of the leaderboards.

``<out>/.trials/tuning/<component>-<setting>.json``. A setting is all that was held fixed while
parameters were tried, so a record speaks for exactly the runs that share it.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from dmlbench.errors import UsageError
from dmlbench.leaderboard.entries.entry import TuningRecord
from dmlbench.plan.config import Component, Configuration, canonical_json, sha256_of
from dmlbench.plugins.registry import Registry
from dmlbench.training.trial_folder import TRIALS


@dataclass(frozen=True)
class Setting:
    """One component of a configuration, whose searched parameters are free.

    kind: "losses" (the configuration's only loss) or "combiners".
    space: what may be tried, by parameter, as in the plugin's spec.
    given: names of the parameters that the user set.
    """

    kind: str
    configuration: Configuration
    space: Mapping[str, Any]
    given: tuple[str, ...] = ()

    @property
    def component(self) -> Component:
        """The component with the parameters that tuning starts from."""
        single = self.kind == "losses"
        return self.configuration.losses[0] if single else self.configuration.combiner

    def at(self, params: Mapping[str, Any]) -> Configuration:
        """The configuration with some of the searched parameters changed."""
        component = self.component
        changed = dataclasses.replace(component, params={**component.params, **params})
        change = {"losses": (changed,)} if self.kind == "losses" else {"combiner": changed}
        return dataclasses.replace(self.configuration, **change)

    @property
    def sha256(self) -> str:
        """Hash of what is held fixed: the configuration without the searched parameters."""
        return sha256_of(self.at(dict.fromkeys(self.space)).identity())

    def path(self, out: Path) -> Path:
        """Where the record of this setting is kept."""
        return out / TRIALS / "tuning" / f"{self.component.name}-{self.sha256[:12]}.json"

    def read(self, out: Path) -> TuningRecord | None:
        """The record of this setting, or None where there is none that can be read."""
        record = _read(self.path(out))
        return record if record is not None and record.setting_sha256 == self.sha256 else None


def setting_of(
    configuration: Configuration, registry: Registry, given: Collection[str] = ()
) -> Setting:
    """What can be tuned of a configuration: its combiner, or its only loss.

    given: parameters that the user named, which stay as they are.
    """
    kind = "losses" if configuration.combiner is None else "combiners"
    component = configuration.combiner or configuration.losses[0]
    search = registry.resolve(kind, component.id).spec.search
    space = {name: tried for name, tried in search.items() if name not in given}
    return Setting(kind, configuration, space, tuple(sorted(given)))


def tuned(
    out: Path, configuration: Configuration, registry: Registry, given: Collection[str] = ()
) -> Component:
    """The component that `setting_of` is about, with the parameters that tuning found best.

    A combiner that has not been tuned keeps its parameters. Raises `UsageError` for a loss that has
    not been tuned in this setting.
    """
    setting = setting_of(configuration, registry, given)
    component = setting.component
    if not setting.space:
        return component
    record = setting.read(out)
    if record is None or record.best is None:
        if setting.kind == "combiners":
            return component
        raise UsageError(
            f"--tuned: {component.id} has not been tuned in {out} for this dataset, backbone, "
            f"recipe and protocol. First: dmlbench tune --losses {component.name}, with the other "
            f"options as here."
        )
    return dataclasses.replace(component, params={**component.params, **record.best.params})


def tuning_of(out: Path, configuration: Configuration) -> list[TuningRecord]:
    """The records by which the configuration's parameters were chosen: those whose best it has.

    Each loss was tuned alone, whatever it is combined with; a combiner together with its losses.
    """
    fair = dataclasses.replace(configuration.protocol, width="fair")
    alone = [
        dataclasses.replace(configuration, losses=(loss,), combiner=None, protocol=fair)
        for loss in configuration.losses
    ]
    settings = [(single, single.losses[0], "losses") for single in alone]
    if configuration.combiner is not None:
        settings.append((configuration, configuration.combiner, "combiners"))
    found = []
    for around, component, kind in settings:
        for path in sorted((out / TRIALS / "tuning").glob(f"{component.name}-*.json")):
            record = _read(path)
            if record is None or record.kind != kind or record.best is None:
                continue
            same = Setting(kind, around, record.space).sha256 == record.setting_sha256
            chosen = {name: component.params.get(name) for name in record.best.params}
            if same and canonical_json(chosen) == canonical_json(record.best.params):
                found.append(record)
    return found


def _read(path: Path) -> TuningRecord | None:
    try:
        return TuningRecord.model_validate_json(path.read_bytes())
    except (OSError, ValidationError):
        return None
