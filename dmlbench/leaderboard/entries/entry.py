"""The entry: the record of one configuration and all its trials, read with a strict schema."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, JsonValue, model_validator

from dmlbench.leaderboard.entries.dataset_metadata import DatasetMetadata
from dmlbench.leaderboard.entries.origin import check_link
from dmlbench.leaderboard.entries.parsing import parse_record
from dmlbench.leaderboard.entries.record import (
    MOST_TRIALS,
    Count,
    Name,
    Record,
    Sha256,
    Small,
)
from dmlbench.leaderboard.entries.trial import Trial, keys_text
from dmlbench.leaderboard.entries.trial_result import BackboneMetadata, TrialMetadata
from dmlbench.leaderboard.entries.tuning import TuningRecord
from dmlbench.plan.config import sha256_of
from dmlbench.plan.identity import BUILT_IN, field_defaults, states_the_same
from dmlbench.plan.recipe import Recipe
from dmlbench.plan.writing import row_name

SCHEMA_VERSION = 2
# What an identity says of each component.
_COMPONENT = {"distribution", "name", "params"}
# Characters of a label that a line has room for.
_REPR_NAME = 40

Link = Annotated[str, AfterValidator(check_link)]


class ComponentRecord(Record):
    """A plugin component as it was used.

    source_sha256: covers the modules it is made of; None for what the results version covers.
    """

    distribution: Name
    version: Name
    name: Name
    params: dict[str, JsonValue]
    source_sha256: Sha256 | None = None


class LossRecord(ComponentRecord):
    """A loss; `learning_rate` is what it sets for its own parameters, None for the recipe's."""

    learning_rate: Annotated[float, Field(gt=0.0)] | None = None


class ProtocolRecord(Record):
    """The protocol's name, its rules and their hash."""

    name: Name
    sha256: Sha256
    rules: dict[str, JsonValue]

    @model_validator(mode="after")
    def _hash_matches(self) -> ProtocolRecord:
        if sha256_of(self.rules) != self.sha256:
            raise ValueError("the protocol's hash does not match its rules")
        return self


class DatasetRecord(ComponentRecord, DatasetMetadata):
    """The dataset, and what was found in it."""


class BackboneRecord(ComponentRecord, BackboneMetadata):
    """The backbone, its size and weights."""


class Entry(Record):
    """One row of a leaderboard.

    tuning: how values were chosen; empty where none was tuned.

    embedding_dim: dimension of the evaluated embedding; head_dims: of the heads it is made from.
    head_parameters: trainable parameters behind the backbone, of heads and combiner; None where an
        older dmlbench did not count them.
    paper, code: addresses (http or https) where the submitter says more.
    results_version: of the dmlbench that made it. Schema 1 has `core_sha256` instead, the hash of
        the code of dmlbench that decided the numbers.
    identity: what the id is the hash of: the configuration without what had its default value.
        In schema 1 that is the whole configuration.
    """

    schema_version: Literal[1, 2]
    entry_id: Annotated[str, Field(pattern=r"^[0-9a-f]{16}$")]
    protocol: ProtocolRecord
    dataset: DatasetRecord
    losses: Annotated[list[LossRecord], Field(min_length=1)]
    combiner: ComponentRecord | None
    backbone: BackboneRecord
    recipe: dict[str, JsonValue]
    recipe_overrides: dict[str, JsonValue]
    embedding_dim: Small
    head_dims: list[Small]
    trials: Annotated[list[Trial], Field(max_length=MOST_TRIALS)]
    tuning: list[TuningRecord] = Field(default_factory=list)
    dmlbench_version: Name
    dmlbench_commit: str | None
    results_version: Annotated[int, Field(ge=1, le=10**6)] | None = None
    core_sha256: Sha256 | None = None
    identity: dict[str, JsonValue] | None = None
    submitter: str | None
    head_parameters: Count | None = None
    paper: Link | None = None
    code: Link | None = None

    @model_validator(mode="after")
    def _consistent(self) -> Entry:
        self._check_recipe()
        self._check_identity()
        if self.entry_id != sha256_of(self.identity_json())[:16]:
            raise ValueError("entry_id is not the hash of the configuration")
        keys = [trial.key for trial in self.trials]
        if len(set(keys)) != len(keys):
            raise ValueError(f"a seed appears twice among the trials: {keys_text(keys)}")
        if self.combiner is None and len(self.losses) != 1:
            raise ValueError("several losses need a combiner")
        return self

    def _check_recipe(self) -> None:
        """The recipe's parts that are tables are tables."""
        for name, default in field_defaults(Recipe).items():
            if isinstance(default, dict) and not isinstance(self.recipe.get(name, {}), dict):
                raise ValueError(f"recipe.{name} is not a table")

    def _check_identity(self) -> None:
        """Each schema has its own way to say what code and configuration it is about."""
        records = [*self.losses, self.dataset, self.backbone]
        records += [self.combiner] if self.combiner else []
        if self.schema_version == 1:
            if self.core_sha256 is None or any(r.source_sha256 is None for r in records):
                raise ValueError("schema 1 needs core_sha256 and the source hash of each component")
            if self.results_version is not None or self.identity is not None:
                raise ValueError("schema 1 has no results_version and no identity")
            return
        if self.results_version is None or self.identity is None or self.core_sha256 is not None:
            raise ValueError("schema 2 needs results_version and identity, and has no core_sha256")
        for record in records:
            if (record.source_sha256 is None) != (record.distribution == BUILT_IN):
                raise ValueError(
                    f"{record.distribution}:{record.name}: a component of a plugin needs a source "
                    f"hash, and one of {BUILT_IN} has none"
                )
        whole = self.configuration_json()
        if self.identity.keys() != whole.keys() or not states_the_same(self.identity, whole):
            raise ValueError("the identity says other than the configuration")
        named = [*self.identity["losses"], *(self.identity[n] for n in ("dataset", "backbone"))]
        named += [self.identity["combiner"]] if self.combiner else []
        if any(component.keys() != _COMPONENT for component in named):
            raise ValueError(
                "the identity needs distribution, name and params of each component, which may "
                "leave out only params that have their default"
            )

    @property
    def code_of_dmlbench(self) -> tuple[int | None, str | None]:
        """What tells whether dmlbench's own code gave the numbers of two entries."""
        return self.results_version, self.core_sha256

    def identity_json(self) -> dict[str, Any]:
        """What the id is the hash of."""
        return self.configuration_json() if self.identity is None else self.identity

    def configuration_json(self) -> dict[str, Any]:
        """The whole configuration, every value present."""

        def component(record: ComponentRecord | None) -> dict[str, Any] | None:
            if record is None:
                return None
            return {k: getattr(record, k) for k in sorted(_COMPONENT)}

        return {
            "losses": [component(loss) for loss in self.losses],
            "combiner": component(self.combiner),
            "dataset": component(self.dataset),
            "backbone": component(self.backbone),
            "recipe": self.recipe,
            "protocol": self.protocol.rules,
        }

    @property
    def metadata(self) -> TrialMetadata:
        """What its trials found in data and model."""
        return TrialMetadata(
            dataset={name: getattr(self.dataset, name) for name in DatasetMetadata.model_fields},
            backbone={name: getattr(self.backbone, name) for name in BackboneMetadata.model_fields},
            embedding_dim=self.embedding_dim,
            head_dims=self.head_dims,
            head_parameters=self.head_parameters,
            loss_rates=[loss.learning_rate for loss in self.losses],
        )

    def data_of(self, trial: Trial) -> DatasetMetadata:
        """What one of its trials found in the data of its class split."""
        return self.dataset if trial.data is None else trial.data

    @property
    def label(self) -> str:
        """A short name, such as ``wedl(triplet + multi-similarity)``."""
        return row_name(
            self.combiner.name if self.combiner else None, [loss.name for loss in self.losses]
        )

    def __repr__(self) -> str:
        """On one line, whatever the entry holds; `to_text` has everything."""
        name = self.label if len(self.label) <= _REPR_NAME else self.label[: _REPR_NAME - 1] + "…"
        trials = len(self.trials)
        failed = trials - len(self.completed)
        counted = f"{trials} trial{'s' * (trials != 1)}" + (f" ({failed} failed)" if failed else "")
        return f"<Entry {self.entry_id} {name} on {self.dataset.name}, {counted}>"

    __str__ = __repr__

    @property
    def tuning_counts(self) -> list[int]:
        """How many settings each tuning record tried, each number once; empty if untuned."""
        return sorted({len(record.trials) for record in self.tuning})

    @property
    def date(self) -> str | None:
        """When the newest trial ended (ISO 8601, UTC); None where no trial says."""
        return max((t.finished_at for t in self.trials if t.finished_at), default=None)

    @property
    def submission_key(self) -> str:
        """Id and hash of the content: one for each submission of a configuration."""
        return f"{self.entry_id}.{self.content_sha256()[:8]}"

    @property
    def splits(self) -> list[int]:
        """The class splits that it has trials on, in order."""
        return sorted({trial.split for trial in self.trials})

    @property
    def completed(self) -> list[Trial]:
        """The trials that have metrics, by seed."""
        return [trial for trial in self.trials if trial.status == "completed"]


def parse_entry(text: str | bytes, source: str) -> Entry:
    """Read an entry from JSON text; `source` names the file in errors.

    Raises `VerificationError` that names the file, the field and what does not hold.
    """
    return parse_record(Entry, text, source, SCHEMA_VERSION)
