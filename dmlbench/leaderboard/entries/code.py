"""Which code an entry came from."""

from __future__ import annotations

from dmlbench.leaderboard.entries.entry import Entry
from dmlbench.plan.config import sha256_of
from dmlbench.plan.identity import code_identity


def entry_code(entry: Entry) -> str:
    """The hash over all code that an entry's numbers depend on, as `code_sha256` gives it."""
    components = [*(("losses", loss) for loss in entry.losses)]
    components += [("combiners", entry.combiner)] if entry.combiner else []
    components += [("datasets", entry.dataset), ("backbones", entry.backbone)]
    sources = {f"{k}/{c.distribution}:{c.name}": c.source_sha256 for k, c in components}
    if entry.results_version is None:
        return sha256_of([entry.core_sha256, *sources.values()])
    return code_identity(sources, entry.results_version)
