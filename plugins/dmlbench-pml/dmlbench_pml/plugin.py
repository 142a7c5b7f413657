"""What this package offers. Imported by every listing, so nothing heavy is imported here."""

from __future__ import annotations

from collections import Counter

from dmlbench.hookspecs import LossSpec, hookimpl
from dmlbench_pml.catalogue import Part, catalogue

_DOCUMENTATION = "https://kevinmusgrave.github.io/pytorch-metric-learning/losses/"


@hookimpl
def dmlbench_losses():
    found = catalogue()
    files = Counter(part.module for part in found.losses.values())
    return [
        _spec(part, found.version, alone=files[part.module] == 1) for part in found.losses.values()
    ]


def _spec(part: Part, version: str, alone: bool) -> LossSpec:
    # The file's name often spells what the class's does not, such as arcface.
    names = [part.short_name]
    if alone and part.module.endswith("_loss"):
        names.append(part.module.removesuffix("_loss").replace("_", "-"))
    page = f"{_DOCUMENTATION}#{part.class_name.lower()}"
    return LossSpec(
        name=f"{part.short_name}-loss",
        # Without the prefix these would make names of the built-in losses ambiguous.
        aliases=tuple(f"pml:{name}" for name in dict.fromkeys([*names, part.class_name])),
        target=f"dmlbench_pml.adapters:{part.class_name}",
        summary=f"{part.class_name} of pytorch-metric-learning {version}",
        reference=", ".join(filter(None, [page, part.paper])),
        defaults={
            **part.defaults,
            **({"miner": None} if part.mines else {}),
            # In the parameters, so entries of different versions never pass for one.
            "pml_version": version,
        },
        family=_family(part),
    )


def _family(part: Part) -> str:
    if "num_classes" in part.sizes:
        return "proxy"
    return "triplet" if "triplets_per_anchor" in part.defaults else "pair"
