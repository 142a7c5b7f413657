"""A published result as a row of a leaderboard's frame."""

from __future__ import annotations

from typing import Any

from dmlbench.leaderboard.entries.claim import Claim
from dmlbench.leaderboard.entries.sanitize import plain
from dmlbench.plan.config import sha256_of
from dmlbench.plan.writing import row_name


def claim_row(claim: Claim) -> dict[str, Any]:
    """A claim as a row of a leaderboard's frame, in a group apart from every entry's."""
    metrics = claim.metrics
    shared = [claim.dataset, claim.backbone, claim.pretrained, claim.embedding_dim]
    return {
        "entry_id": claim.claim_id,
        "key": claim.claim_id,
        "rank_low": None,
        "rank_high": None,
        "position": None,
        "smallest_difference": None,
        "tier": "unverified",
        "name": claim.label,
        "losses": row_name(None, map(plain, claim.losses)),
        "combiner": plain(claim.combiner) if claim.combiner else None,
        "dataset": plain(claim.dataset),
        "backbone": plain(claim.backbone),
        "pretrained": claim.pretrained,
        "recipe": "as published",
        "protocol": "claimed",
        "dim_budget": "published",
        "embedding_dim": claim.embedding_dim,
        "seeds": 0,
        "failed": 0,
        "splits": 0,
        **metrics.model_dump(exclude={"recall_at"}),
        "tries": [],
        "tuning": None,
        "loss_rates": [],
        "head_dims": [],
        "distributions": [],
        "failures": [],
        "submitter": plain(claim.submitter) if claim.submitter else None,
        "concerns": [],
        "source": f"{claim.citation}. {plain(claim.conditions, 300)}",
        "group": f"claimed-{sha256_of([shared, claim.source.model_dump()])[:12]}",
    } | {f"recall_at_{k}": value for k, value in metrics.recall_at.items()}
