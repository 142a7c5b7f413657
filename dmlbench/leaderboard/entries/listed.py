"""Entries as tables need them: without histories, environments and artefacts.

Most of an entry's text is the course of its trainings, which no table shows. Of 10⁵ entries the
rest fits into memory where the whole does not.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import PrivateAttr

from dmlbench.leaderboard.entries.entry import (
    BackboneRecord,
    ComponentRecord,
    DatasetRecord,
    Entry,
    LossRecord,
    ProtocolRecord,
)
from dmlbench.leaderboard.entries.trial import Cost, Metrics, Trial
from dmlbench.leaderboard.entries.tuning import TuningRecord, TuningTrial

# What no table shows of a trial, each with what takes its place.
_LEFT_OUT: Mapping[str, Any] = {
    "best_epoch": None,
    "validation_map_at_r": None,
    "weights": None,
    "history": [],
    "embeddings": None,
    "environment": {},
    "data": None,
    "refit_history": None,
}
_COMPONENTS: tuple[tuple[str, type[ComponentRecord]], ...] = (
    ("combiner", ComponentRecord),
    ("dataset", DatasetRecord),
    ("backbone", BackboneRecord),
)


class ListedEntry(Entry):
    """An entry that was read before, without what no table shows of it.

    It is for tables alone: checks, reproductions and comparisons over queries need the whole entry.
    """

    _path: Path | None = PrivateAttr(default=None)

    @property
    def path(self) -> Path:
        """The file that it was read from."""
        if self._path is None:
            raise ValueError(f"it is not known where the entry {self.entry_id} was read from")
        return self._path

    def content_sha256(self) -> str:
        """As of the whole entry, which is read again for it."""
        from dmlbench.leaderboard.entries.store import read_entry

        return read_entry(self.path).content_sha256()


def pack(data: Mapping[str, Any]) -> bytes:
    """The JSON values of an entry that was read and found valid, for `unpack`, compressed."""
    kept = {k: v for k, v in data.items() if k not in ("trials", "tuning")}
    kept["trials"] = [
        {k: v for k, v in trial.items() if k not in _LEFT_OUT} for trial in data["trials"]
    ]
    # Of a record the first trial says where the search started, the others only count.
    kept["tuning"] = [
        {**record, "trials": record["trials"][:1], "count": len(record["trials"])}
        for record in data.get("tuning", ())
    ]
    return zlib.compress(json.dumps(kept, separators=(",", ":")).encode(), 1)


def unpack(packed: bytes, path: Path) -> ListedEntry:
    """The entry that `pack` packed, read from `path`.

    Raises `ValueError` or `zlib.error` for bytes that were damaged.
    """
    data = json.loads(zlib.decompress(packed))
    parts: dict[str, Any] = {
        "protocol": ProtocolRecord.model_construct(**data["protocol"]),
        "losses": [LossRecord.model_construct(**loss) for loss in data["losses"]],
        "trials": [_trial(trial) for trial in data["trials"]],
        "tuning": [_tuning(record) for record in data["tuning"]],
    }
    for name, kind in _COMPONENTS:
        if data[name] is not None:
            parts[name] = kind.model_construct(**data[name])
    entry = ListedEntry.model_construct(**{**data, **parts})
    entry._path = path
    return entry


def _trial(data: dict[str, Any]) -> Trial:
    metrics = data["metrics"]
    parts = {
        "metrics": None if metrics is None else Metrics.model_construct(**metrics),
        "cost": Cost.model_construct(**data["cost"]),
    }
    return Trial.model_construct(**{**_LEFT_OUT, **data, **parts})


def _tuning(data: dict[str, Any]) -> TuningRecord:
    count = data.pop("count")
    trials = [TuningTrial.model_construct(**trial) for trial in data["trials"]] * count
    return TuningRecord.model_construct(**{**data, "trials": trials})
