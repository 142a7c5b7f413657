"""What the installed pytorch-metric-learning has, and what each of its classes can be given.

Read from its source, since importing it imports torch, which a listing does not do.
"""

from __future__ import annotations

import ast
import importlib.util
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache, cached_property
from pathlib import Path
from typing import Any

from dmlbench_pml.source import NO_LITERAL, REQUIRED, ClassSource, PackageSource, calls, is_abstract

PACKAGE = "pytorch_metric_learning"

#: The kinds of parts that a loss is made of, with the module of the package that has each.
KINDS = {
    "loss": "losses",
    "miner": "miners",
    "distance": "distances",
    "reducer": "reducers",
    "regularizer": "regularizers",
}

#: What a class must descend from to be a part of that kind.
_BASES = {
    "loss": {"BaseMetricLossFunction", "BaseLossWrapper"},
    "miner": {"BaseMiner"},
    "distance": {"BaseDistance"},
    "reducer": {"BaseReducer"},
    "regularizer": {"BaseRegularizer"},
}

#: What losses call the dimension of the embedding.
_DIMENSIONS = ("embedding_size", "embedding_dim", "descriptors_dim")

#: Neither numbers nor parts: nothing that a command line could spell.
_NOT_OFFERED = {"num_classes", "collect_stats", "weight_init_func", *_DIMENSIONS}

#: Values for parameters without a default.
_CHOSEN = {"RankedListLoss": {"margin": 0.4, "Tn": 10}, "CrossBatchMemory": {"loss": "contrastive"}}


@dataclass(frozen=True)
class Part:
    """One class of pytorch-metric-learning: a loss, miner, distance, reducer or regulariser.

    kind: a key of `KINDS`.
    module: the file that defines it, without its suffix.
    defaults: its parameters with their defaults; None where it has none and must be given one.
    sizes: what it calls the number of classes and the dimension of the embedding, where it
        needs them, by what dmlbench calls them.
    mines: whether it accepts what a miner selects.
    paper: the address that its docstring points to; may be empty.
    """

    kind: str
    class_name: str
    module: str
    defaults: Mapping[str, Any]
    sizes: Mapping[str, str] = field(default_factory=dict)
    mines: bool = False
    paper: str = ""

    @property
    def short_name(self) -> str:
        """``TripletMarginLoss`` as ``triplet-margin``."""
        words = re.sub(r"(?<=[a-z])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "-", self.class_name)
        return words.lower().removesuffix(f"-{self.kind}")


def kind_of(parameter: str) -> str | None:
    """The kind of part that a parameter takes: ``embedding_regularizer`` takes a regularizer."""
    if parameter.endswith("_regularizer"):
        return "regularizer"
    return parameter if parameter in KINDS else None


class Catalogue:
    """The parts that one pytorch-metric-learning offers, read when they are asked for.

    folder: where its ``__init__.py`` is.
    """

    def __init__(self, folder: Path) -> None:
        self.package = PackageSource(folder)
        version = re.search(r'__version__ = "(.*?)"', (folder / "__init__.py").read_text("utf-8"))
        self.version = version[1] if version else "unknown"
        self._sorted = cache(self._sort)

    @cached_property
    def losses(self) -> Mapping[str, Part]:
        """The losses by class name."""
        return self.parts("loss")

    def parts(self, kind: str) -> Mapping[str, Part]:
        """The parts of a kind by class name."""
        return self._sorted(kind)[0]

    def left_out(self, kind: str) -> Mapping[str, str]:
        """The other classes among them, with the reason why each is not on offer."""
        return self._sorted(kind)[1]

    def find(self, kind: str, name: str) -> Part:
        """The part that a short name or class name means. Raises `ValueError` with all names."""
        for part in self.parts(kind).values():
            if name in (part.class_name, part.short_name):
                return part
        known = ", ".join(part.short_name for part in self.parts(kind).values())
        reason = self.left_out(kind).get(name)
        why = f"it {reason}" if reason else f"there are {known}"
        raise ValueError(f"pytorch-metric-learning {self.version} offers no {kind} {name!r}: {why}")

    def _sort(self, kind: str) -> tuple[dict[str, Part], dict[str, str]]:
        parts, left_out = {}, {}
        for name, source in sorted(self.package.exported(KINDS[kind]).items()):
            reason = self._reason_against(kind, source)
            if reason:
                left_out[name] = reason
            else:
                parts[name] = self._part(kind, source)
        return parts, left_out

    def _reason_against(self, kind: str, source: ClassSource) -> str:
        methods = self.package.methods(source)
        bases = {base.name for base in self.package.lineage(source)}
        abstract = sorted(name for name, method in methods.items() if is_abstract(method))
        if not bases & _BASES[kind]:
            return f"is no {kind} by itself"
        if abstract:
            return f"is the base of others, which define {abstract[0]}"
        if kind == "loss" and (
            "labels" not in _arguments(methods["forward"])
            or "labels_not_supported" in calls(methods.get("compute_loss"))
        ):
            return "takes no labels"
        parameters = self.package.parameters(source)
        objects = [name for name in ("weights", "reducers") if parameters.get(name) is REQUIRED]
        return f"needs objects for its {objects[0]}" if objects else ""

    def _part(self, kind: str, source: ClassSource) -> Part:
        parameters = self.package.parameters(source)
        chosen = _CHOSEN.get(source.name, {})
        required = {name for name, default in parameters.items() if default is REQUIRED}
        sizes = {"num_classes": "num_classes"} if "num_classes" in required else {}
        dimension = next((name for name in _DIMENSIONS if name in required), None)
        sizes |= {"embedding_dim": dimension} if dimension else {}
        methods = self.package.methods(source)
        links = re.findall(r"https?://[^\s)\"']+", ast.get_docstring(source.node) or "")
        return Part(
            kind=kind,
            class_name=source.name,
            module=source.module[-1],
            defaults={
                name: chosen.get(name) if name in required else default
                for name, default in parameters.items()
                if name not in _NOT_OFFERED and _is_json(default)
            },
            sizes=sizes,
            mines="indices_tuple" in _arguments(methods.get("forward"))
            and "indices_tuple_not_supported" not in calls(methods.get("compute_loss")),
            paper=links[0] if links else "",
        )


@cache
def catalogue() -> Catalogue:
    """Read the installed pytorch-metric-learning. Raises `ImportError` where there is none."""
    spec = importlib.util.find_spec(PACKAGE)
    if spec is None or spec.origin is None:
        raise ImportError(
            "pytorch-metric-learning is not installed: pip install pytorch-metric-learning"
        )
    return Catalogue(Path(spec.origin).parent)


def _arguments(function: ast.FunctionDef | None) -> list[str]:
    return [argument.arg for argument in function.args.args] if function else []


def _is_json(default: Any) -> bool:
    if default is REQUIRED:
        return True
    if default is NO_LITERAL:
        return False
    try:
        return json.loads(json.dumps(default, allow_nan=False)) == default
    except (TypeError, ValueError):
        return False
