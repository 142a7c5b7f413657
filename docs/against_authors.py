"""The built-in losses against what their authors published, from stored numbers.

``tests/losses/authors.json`` has value and gradient of each author's code, in float64, on the
batches that `inputs` gives. Ours are computed whenever the page is made, so it cannot be out of
date. Shapes: B batch, D dimension, C classes.
"""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import torch
from speed_tables import table
from torch import Tensor, nn

import dmlbench

STORED = Path(__file__).parent.parent / "tests" / "losses" / "authors.json"
C, D = 10, 5
# 8 classes of 4 in order, which some authors' code needs; unequal classes, three of one item.
LABELS = {
    "balanced": torch.arange(32) // 4,
    "unequal": torch.repeat_interleave(torch.arange(9), torch.tensor([9, 6, 5, 4, 3, 2, 1, 1, 1])),
}

_PAGE = """# Losses against their authors' code

Each built-in loss beside what its authors published, or, where they published none, beside the
implementation that others compare with. Value and gradient, in float64, on one batch of 8 classes
of 4 and on one of 32 items in classes of 9, 6, 5, 4, 3, 2, 1, 1 and 1. The gradient is that of
embeddings before normalisation; cosine 1 and ratio 1 (ours over theirs) mean the same update.

Their numbers were computed once by their code and are stored in `tests/losses/authors.json`; ours
are computed whenever this page is made, and tests compare them. "raises" means that their code
does not accept the batch. Parameters are named where they are not our defaults. Three
repositories are not by the authors of every loss in them: d-zabihzadeh (the ensembles of losses),
Confusezius (Roth et al. 2020) and insightface (the authors of ArcFace, here for CosFace too);
TinyZeaMays is not by the authors of Circle loss. Theirs was run as it is in November 2026, except
for this: tensors stay on the CPU and in float64; random pairs and draws were replaced by ours;
MXNet's functions, for the margin loss, by PyTorch's; the distances of Confusezius's lifted
structure were taken over the axis that PyTorch used when it was written.

"""


def records() -> list[dict[str, Any]]:
    """What is stored: a record for each pair of a loss and someone's code."""
    return json.loads(STORED.read_text("utf-8"))


def inputs(case: str, scale: float = 1.0) -> tuple[Tensor, Tensor]:
    """Embeddings before normalisation (B, D), float64, and labels (B,)."""
    labels = LABELS[case]
    item, place = torch.meshgrid(
        torch.arange(len(labels), dtype=torch.float64),
        torch.arange(D, dtype=torch.float64),
        indexing="ij",
    )
    noise = torch.sin(12.9898 * item + 78.233 * place + item * place)
    centre = torch.sin(3.1 * labels[:, None] + 1.7 * place + 0.9 * labels[:, None] * place)
    return scale * (centre + 0.8 * noise), labels


def fill(loss: nn.Module) -> None:
    """Give the parameters of a loss values by formula."""
    for name, parameter in loss.named_parameters():
        count = torch.arange(parameter.numel(), dtype=torch.float64).view_as(parameter)
        wave = torch.sin(1 + 0.7 * count + 0.01 * count.square())
        parameter.data = 1.2 + 0.1 * wave if name == "beta" else wave


def build(record: dict[str, Any]) -> nn.Module:
    """Our loss of a record, in float64."""
    given = dict(record["params"])
    loss = dmlbench.load_loss(record["loss"], num_classes=C, embedding_dim=D, **given).double()
    fill(loss)
    return loss


def ours(record: dict[str, Any], case: str) -> tuple[float, Tensor]:
    """Value, and gradient (B, D) of the embeddings before normalisation.

    A loss with a memory sees the other batches that the record names first.
    """
    loss = build(record)
    for scale in record.get("before", []):
        raw, labels = inputs(case, scale)
        loss(seen_by(loss, raw.roll(1, 1)), labels)
    raw, labels = inputs(case)
    raw.requires_grad_()
    value = loss(seen_by(loss, raw), labels)
    value.backward()
    return value.item(), raw.grad


def seen_by(loss: nn.Module, raw: Tensor) -> Tensor:
    """What a trial would give the loss."""
    takes = getattr(loss, "takes", "embeddings")
    return nn.functional.normalize(raw) if takes == "embeddings" else raw


def compared(record: dict[str, Any], case: str) -> dict[str, float] | None:
    """Ours against theirs: both values, cosine of the gradients and ratio of their norms."""
    stored = record["cases"][case]
    if stored is None:
        return None
    value, gradient = ours(record, case)
    theirs = torch.tensor(stored["gradient"], dtype=torch.float64).view_as(gradient)
    norms = gradient.norm().item(), theirs.norm().item()
    return {
        "ours": value,
        "theirs": stored["value"],
        "cosine": (gradient * theirs).sum().item() / math.prod(norms),
        "ratio": norms[0] / norms[1],
    }


def page() -> str:
    """The whole page, as Markdown."""
    rows = []
    for record in records():
        params = ", ".join(f"{k}={json.dumps(v)}" for k, v in record["params"].items())
        name = record["loss"] + (f"({params})" if params else "")
        first = f"[`{name}`]({record['loss']}.md)"
        for case in LABELS:
            found = compared(record, case)
            if found is None:
                numbers = ["–", "raises", "–", "–"]
            else:
                numbers = [short(found[k]) for k in ("ours", "theirs", "cosine", "ratio")]
            rows.append([first, record["against"], case, *numbers, record["verdict"]])
    titles = ["loss", "against", "batch", "ours", "theirs", "cosine", "ratio", ""]
    return _PAGE + table(titles, rows) + "\n\n[All losses](README.md)\n"


def short(value: float) -> str:
    """Four decimals, none for a whole number."""
    text = f"{value:.4f}"
    return text.rstrip("0").rstrip(".") if "." in text and float(text) == round(value) else text
