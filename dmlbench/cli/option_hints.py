"""Options that other tools have, and what says the same here."""

from __future__ import annotations

import click

_SET = "--set recipe."
#: Without dashes -> what to write instead.
HINTS = {
    "epochs": f"{_SET}epochs=40",
    "num-epochs": f"{_SET}epochs=40",
    "lr": f"{_SET}optimizer.backbone_lr=1e-4 and {_SET}optimizer.head_lr=1e-4",
    "learning-rate": f"{_SET}optimizer.backbone_lr=1e-4 and {_SET}optimizer.head_lr=1e-4",
    "weight-decay": f"{_SET}optimizer.weight_decay=1e-4",
    "optimizer": f"{_SET}optimizer.name=adamw",
    "batch-size": f"{_SET}batch.classes=32 and {_SET}batch.images=4, whose product it is",
    "embedding-size": f"{_SET}embedding_dim=128",
    "embedding-dim": f"{_SET}embedding_dim=128",
    "image-size": f"{_SET}input.size=224",
    "seed": "--seeds 5 (0 to 4), or --seeds 7, for one",
    "resume": "nothing: the same command resumes",
    "checkpoint": "nothing: the same command resumes; --weights FILE starts a backbone from a file",
    "model": "--backbone NAME",
    "arch": "--backbone NAME",
    "loss": "--losses LIST",
    "miner": "a parameter of the loss, such as --losses 'triplet(mining=semi-hard)'",
    "data": "--dataset 'folder(root=DIR)'",
    "data-dir": "--dataset 'folder(root=DIR)'",
    "root": "--dataset 'folder(root=DIR)'",
    "gpu": "--device cuda",
    "gpus": "--device cuda",
    "cuda": "--device cuda",
    "num-workers": "--jobs N, the trials that run at once; images are kept in memory or a cache",
    "workers": "--jobs N, the trials that run at once; images are kept in memory or a cache",
    "output": "--leaderboards DIR",
    "output-dir": "--leaderboards DIR",
    "save-dir": "--leaderboards DIR",
}


def hint_for(error: click.NoSuchOption) -> str | None:
    """What to write instead of an option that there is not, where another tool has it."""
    name = error.option_name.lstrip("-").lower().replace("_", "-")
    return f"Write {HINTS[name]}." if name in HINTS else None
