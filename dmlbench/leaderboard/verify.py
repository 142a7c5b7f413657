"""Does a leaderboard hold what it claims? Everything is checked anew, and what fails is named."""

from __future__ import annotations

from dmlbench.leaderboard.tiers import TIERS, Standing, Tiers, tier

__all__ = ["TIERS", "Standing", "Tiers", "tier"]
