"""A published result as a row of a leaderboard's frame."""

from __future__ import annotations

from typing import Any

from dmlbench.leaderboard.comparison.parameters import no_parameters
from dmlbench.leaderboard.entries.published import PublishedResult
from dmlbench.leaderboard.entries.sanitize import plain
from dmlbench.plan.config import sha256_of
from dmlbench.plan.writing import row_name


def published_row(result: PublishedResult) -> dict[str, Any]:
    """A published result as a row of a leaderboard's frame, in a group apart from every entry's."""
    metrics = result.metrics
    shared = [result.dataset, result.backbone, result.pretrained, result.embedding_dim]
    return {
        "entry_id": result.published_id,
        "key": result.published_id,
        "rank_low": None,
        "rank_high": None,
        "position": None,
        "smallest_difference": None,
        "tier": "unverified",
        "name": result.label,
        "losses": row_name(None, map(plain, result.losses)),
        "combiner": plain(result.combiner) if result.combiner else None,
        "dataset": plain(result.dataset),
        "backbone": plain(result.backbone),
        "pretrained": result.pretrained,
        "recipe": "as published",
        "protocol": "published",
        "dim_budget": "published",
        "embedding_dim": result.embedding_dim,
        "seeds": 0,
        "failed": 0,
        "splits": 0,
        **metrics.model_dump(exclude={"recall_at"}),
        "tuning_trials": [],
        "tuning": None,
        "loss_rates": [],
        "head_dims": [],
        "distributions": [],
        "failures": [],
        **no_parameters(),
        "confirmed_on": None,
        "submitter": plain(result.submitter) if result.submitter else None,
        "date": None,
        "paper": None,
        "code": None,
        "issues": [],
        "source": f"{result.citation}. {plain(result.conditions, 300)}",
        "group": f"published-{sha256_of([shared, result.source.model_dump()])[:12]}",
    } | {f"recall_at_{k}": value for k, value in metrics.recall_at.items()}
