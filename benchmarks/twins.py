"""The built-in losses by name, and pytorch-metric-learning's equivalent of each."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from importlib import import_module
from typing import Any

QUEUE = 1024  # embeddings that a cross-batch memory holds


def built_in(name: str, classes: int, width: int) -> Callable:
    """The built-in loss that ``name(key=value, ...)`` means."""
    from dmlbench.losses import LOSSES

    short, _, inside = name.partition("(")
    spec = next((s for s in LOSSES if short in (s.name, *s.aliases)), None)
    if spec is None:
        raise SystemExit(f"no built-in loss is named {short!r}")
    words = {"true": True, "false": False}
    given = dict(part.strip().split("=", 1) for part in inside.rstrip(")").split(",") if part)
    given = {key: words.get(value, value) for key, value in given.items()}
    module, _, attribute = spec.target.partition(":")
    found = getattr(import_module(module), attribute)
    supplied = {"num_classes": classes, "embedding_dim": width}
    if short in ("cross-batch-memory", "xbm"):
        supplied |= {"memory_size": QUEUE, "start": 0}
    asked = inspect.signature(found).parameters
    return found(**given, **{k: v for k, v in supplied.items() if k in asked})


def twin(name: str) -> Callable[[int, int], Callable] | None:
    """What makes pytorch-metric-learning's equivalent of a built-in loss; None: it has none."""
    from dmlbench.losses import LOSSES

    short, *rest = name.partition("(")
    canonical = next((s.name for s in LOSSES if short in s.aliases), short)
    return pml_factories().get("".join([canonical, *rest]))


def pml_factories() -> dict[str, Callable[[int, int], Callable]]:
    """Built-in name -> (number of classes, width) -> pytorch-metric-learning's equivalent."""
    from pytorch_metric_learning import distances, losses, miners
    from torch import nn

    def plain(make: Callable[[], Any]) -> Callable[[int, int], Callable]:
        return lambda classes, width: make()

    class Mined(nn.Module):
        def __init__(self, loss: Any, miner: Any) -> None:
            super().__init__()
            self.loss, self.miner = loss, miner

        def forward(self, embeddings: Any, labels: Any) -> Any:
            return self.loss(embeddings, labels, self.miner(embeddings, labels))

    def mined(loss: Any, miner: Any) -> Callable[[int, int], Callable]:
        return lambda classes, width: Mined(loss, miner)

    semi_hard = miners.TripletMarginMiner(0.2, "semihard")
    hard = miners.TripletMarginMiner(0.05, "hard")
    return {
        "contrastive": plain(losses.ContrastiveLoss),
        "triplet": plain(losses.TripletMarginLoss),
        "triplet(mining=semi-hard)": mined(losses.TripletMarginLoss(0.2), semi_hard),
        "triplet(mining=hard)": mined(losses.TripletMarginLoss(), hard),
        "triplet(mining=batch-hard)": mined(losses.TripletMarginLoss(), miners.BatchHardMiner()),
        "multi-similarity": mined(losses.MultiSimilarityLoss(), miners.MultiSimilarityMiner()),
        "multi-similarity(mining=false)": plain(losses.MultiSimilarityLoss),
        "nt-xent": plain(losses.NTXentLoss),
        "supcon": plain(losses.SupConLoss),
        "nca": plain(losses.NCALoss),
        "margin": lambda classes, width: mined(
            losses.MarginLoss(learn_beta=True, num_classes=classes), miners.DistanceWeightedMiner()
        )(classes, width),
        "margin(mining=all)": lambda classes, width: losses.MarginLoss(
            learn_beta=True, num_classes=classes
        ),
        "circle": plain(losses.CircleLoss),
        "snr": plain(losses.SignalToNoiseRatioContrastiveLoss),
        "lifted-structure": plain(
            lambda: losses.GeneralizedLiftedStructureLoss(
                distance=distances.LpDistance(normalize_embeddings=False)
            )
        ),
        "n-pairs": plain(
            lambda: losses.NPairsLoss(
                distance=distances.DotProductSimilarity(normalize_embeddings=False)
            )
        ),
        "angular": plain(losses.AngularLoss),
        "tuplet-margin": plain(losses.TupletMarginLoss),
        "cross-batch-memory": lambda classes, width: losses.CrossBatchMemory(
            losses.ContrastiveLoss(), width, memory_size=QUEUE
        ),
        "proxy-anchor": losses.ProxyAnchorLoss,
        "proxy-nca": losses.ProxyNCALoss,
        "norm-softmax": losses.NormalizedSoftmaxLoss,
        "cosface": losses.CosFaceLoss,
        "arcface": losses.ArcFaceLoss,
        "subcenter-arcface": lambda classes, width: losses.SubCenterArcFaceLoss(
            num_classes=classes, embedding_size=width
        ),
        "soft-triple": losses.SoftTripleLoss,
        "fastap": plain(losses.FastAPLoss),
        "histogram": plain(losses.HistogramLoss),
        "smooth-ap": plain(losses.SmoothAPLoss),
    }


def split_names(text: str) -> list[str]:
    """Split at commas outside of parentheses."""
    names, depth = [""], 0
    for char in text:
        depth += (char == "(") - (char == ")")
        if char == "," and depth == 0:
            names.append("")
        else:
            names[-1] += char
    return [name.strip() for name in names if name.strip()]
