"""Published results whose numbers are computed here, from embeddings made elsewhere."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from dmlbench.errors import VerificationError
from dmlbench.evaluate.metrics import RECALL
from dmlbench.evaluate.scored import Scored
from dmlbench.files import file_sha256
from dmlbench.leaderboard.entries.published import SCHEMA_VERSION, PublishedResult
from dmlbench.leaderboard.entries.published_store import parse_published
from dmlbench.leaderboard.entries.reading import read_text
from dmlbench.version import __version__

# What the evaluation says, so a description must not.
_COMPUTED = ("embedding_dim", "metrics")
_OPTIONAL = {"schema_version": SCHEMA_VERSION, "num_seeds": 1, "submitter": None}
_PLACEHOLDER = {"recall_at": {"1": 0.0}, "map_at_r": None, "r_precision": None, "nmi": None}


def read_description(path: Path) -> PublishedResult:
    """Read a published result that lacks its numbers, which are placeholders in what this gives.

    path: JSON with the fields of `PublishedResult` except ``embedding_dim`` and ``metrics``;
        ``num_seeds`` is 1, ``submitter`` and ``source.quoted_from`` null where they are not given.
    Raises `VerificationError` that names the file and the field.
    """
    text = read_text(path)
    try:
        values = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise VerificationError(f"{path} is not JSON: {error}.") from error
    if not isinstance(values, dict):
        raise VerificationError(f"{path} must hold a JSON object.")
    given = [name for name in _COMPUTED if name in values]
    if given:
        raise VerificationError(
            f"{path} has {' and '.join(given)}, computed from the embeddings; leave it out. "
            f"`dmlbench leaderboard add` takes a result that has its numbers."
        )
    source = values.get("source")
    if isinstance(source, dict):
        values["source"] = {"quoted_from": None, **source}
    whole = {"embedding_dim": 1, "metrics": _PLACEHOLDER, **_OPTIONAL, **values}
    return parse_published(json.dumps(whole), str(path))


def evaluated(
    description: PublishedResult, scored: Scored, similarity: str, files: Sequence[Path]
) -> PublishedResult:
    """The result with the metrics of an evaluation, and in its conditions what they come from.

    similarity: "cosine" or "euclidean". files: of embeddings and labels, which are hashed.
    Raises `VerificationError` for conditions that are too long for what is added.
    """
    values = {name: found.mean for name, found in scored.metrics.items()}
    recall = {
        name.removeprefix(RECALL): value
        for name, value in sorted(values.items())
        if name.startswith(RECALL)
    }
    others = ("map_at_r", "r_precision", "nmi")
    changed: dict[str, Any] = {
        "embedding_dim": scored.dimension,
        "metrics": {"recall_at": recall, **{name: values.get(name) for name in others}},
        "conditions": f"{description.conditions} {_origin(scored, similarity, files)}",
    }
    text = json.dumps(description.model_dump() | changed)
    return parse_published(text, "the published result")


def _origin(scored: Scored, similarity: str, files: Sequence[Path]) -> str:
    skipped = f" ({scored.num_skipped} without an item to find left out)"
    searched = "each other" if scored.num_gallery is None else f"{scored.num_gallery} items"
    hashes = ", ".join(f"{path.name} sha256 {file_sha256(path)}" for path in files)
    return (
        f"Metrics computed by dmlbench {__version__} from embeddings: {scored.num_queries} queries"
        f"{skipped if scored.num_skipped else ''} of {scored.num_classes} classes search "
        f"{searched}, {similarity}; {hashes}."
    )
