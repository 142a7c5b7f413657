"""What can be seen to be wrong with a component's values without building it, or importing torch.

The rest is found when `run` builds everything once, before it trains anything.
"""

from __future__ import annotations

import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from dmlbench.backbones.timm_names import check_timm_model, check_timm_tag
from dmlbench.errors import UsageError
from dmlbench.files import user_path
from dmlbench.hookspecs import LossSpec, Spec
from dmlbench.plan.identity import BUILT_IN
from dmlbench.plan.recipe import Batch
from dmlbench.plugins.registry import KINDS, Registered
from dmlbench.plugins.wrapped import wrapped_spec

_HEADER_BYTES = 8  # a safetensors file begins with the length of its header
_MOST_HEADER_BYTES = 100_000_000  # that safetensors itself allows
#: What torch.save writes: a zip file, or before PyTorch 1.6 a pickle of protocol 2 and later.
_TORCH_BEGINNINGS = (b"PK\x03\x04", b"\x80")


def check_values(item: Registered, given: Mapping[str, Any]) -> None:
    """Raise `UsageError` for a value of another type than the parameter's default or range.

    None may always be meant. A default that is text allows anything, as "all" may be beside a
    number, and so does one that is None, a list or a table, unless the parameter is tuned within a
    range of numbers.
    """
    _check_types(item.spec, f"{KINDS[item.kind]} {item.id}", given)
    if isinstance(item.spec, LossSpec) and item.spec.wraps and given.get("params"):
        name = given.get("loss", item.spec.defaults["loss"])
        inner = wrapped_spec(item.id, item.spec.wraps, name)
        _check_types(inner, f"loss {item.id}, params of {inner.name}", given["params"])


def _check_types(spec: Spec, owner: str, given: Mapping[str, Any]) -> None:
    for name, value in given.items():
        wanted = _wanted(spec.defaults[name], spec.search.get(name))
        if value is None or wanted is None or _is(value, wanted):
            continue
        shown = "one so large" if _is_large(value) else repr(value)
        raise UsageError(f"{owner}: {name} must be {wanted}, not {shown}.")


def _wanted(default: Any, tried: Any) -> str | None:
    if isinstance(default, bool):
        return "true or false"
    if isinstance(default, int | float) or (default is None and _is_range(tried)):
        return "a number"
    return None


def _is_range(tried: Any) -> bool:
    return isinstance(tried, Mapping) and "low" in tried


def _is_large(value: Any) -> bool:
    return isinstance(value, int) and abs(value) >= 2**64


def _is(value: Any, wanted: str) -> bool:
    if wanted == "true or false":
        return isinstance(value, bool)
    if not isinstance(value, int | float) or isinstance(value, bool):
        return False
    # Such whole numbers fit neither torch nor NumPy.
    return not _is_large(value)


def check_place(item: Registered, params: Mapping[str, Any]) -> None:
    """Raise `UsageError` where the directory of one of our datasets is not there.

    Another plugin's dataset may well make its own.
    """
    if item.distribution != BUILT_IN or "root" not in params:
        return
    root = params["root"]
    if root is not None and not isinstance(root, str):
        raise UsageError(
            f"{item.spec.name}: root must be text, not {root!r}. Put it in quotes: "
            f"--dataset '{item.spec.name}(root=\"{root}\")'."
        )
    if not root and item.spec.name == "folder":
        raise UsageError(
            "folder: no directory given. Name it: --dataset 'folder(root=PATH)', with a "
            "directory for each class in PATH."
        )
    place = user_path(root or "")
    if root and not place.is_dir():
        raise UsageError(
            f"{item.spec.name}: root={root!r} is not a directory (looked at {place.absolute()})."
        )


def check_pairs(item: Registered, batch: Batch) -> None:
    """Raise `UsageError` where batches hold no pair that one of our losses could learn from.

    A batch of one image per class has no two images of one class, and a batch of one class no two
    of different classes: most of these losses are then the constant 0.
    """
    if (
        item.distribution != BUILT_IN
        or item.spec.family not in ("pair", "triplet", "listwise")
        or item.spec.name == "cross-batch-memory"  # its pairs reach into earlier batches
        or batch.sampler != "classes"
        or (batch.images > 1 and batch.classes > 1)
    ):
        return
    name, kind = (
        ("images", "of the same class") if batch.images < 2 else ("classes", "of different classes")
    )
    raise UsageError(
        f"With recipe.batch.{name}={getattr(batch, name)} no batch has two images {kind}, from "
        f"which {item.id} learns. Use --set recipe.batch.{name}=2 or more."
    )


def check_backbone(item: Registered, params: Mapping[str, Any]) -> None:
    """Raise `UsageError` for a model that timm lacks, or a file that can be no weights for it."""
    if item.id != "dmlbench:timm":
        return
    model, weights = params["model"], params["weights"]
    if model is None:
        raise UsageError("The backbone timm needs a model: --backbone resnet50, for example.")
    check_timm_model(str(model))
    check_timm_tag(str(model))
    # A hash stands for a file that was looked at before.
    if isinstance(weights, str) and not weights.startswith("sha256:"):
        _check_weights_file(user_path(weights))


def _check_weights_file(path: Path) -> None:
    """Raise `UsageError` for a file that begins like neither safetensors nor a state dict."""
    try:
        if not stat.S_ISREG(path.stat().st_mode):  # a pipe would block
            raise UsageError(f"The weights {path} are not a regular file.")
        with open(path, "rb") as opened:
            beginning = opened.read(_HEADER_BYTES + 1)
    except OSError as error:
        raise UsageError(f"The weights {path} cannot be read: {error.strerror}.") from error
    if path.suffix == ".safetensors":
        length = int.from_bytes(beginning[:_HEADER_BYTES], "little")
        meant = beginning[_HEADER_BYTES:] == b"{" and 0 < length <= _MOST_HEADER_BYTES
    else:
        meant = beginning.startswith(_TORCH_BEGINNINGS)
    if not meant:
        raise UsageError(
            f"The weights {path} are neither safetensors (named .safetensors) nor a state dict "
            f"that torch.save wrote. Save one with torch.save(model.state_dict(), FILE)."
        )
