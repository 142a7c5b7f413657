"""What an installation has and lacks."""

from __future__ import annotations

import os
import platform
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version

from dmlbench.training.environment import available_cores


@dataclass
class Finding:
    """One thing looked at. level: "ok", "warning" or "problem"."""

    subject: str
    level: str
    message: str


def examine() -> list[Finding]:
    """Look at versions, faiss, the device, plugins and the cache folder."""
    return [
        Finding("python", "ok", f"{platform.python_version()} on {platform.platform()}"),
        *(_package(name) for name in ("dmlbench", "torch", "timm", "pluggy", "pandas")),
        _faiss(),
        _device(),
        *_plugins(),
        _cache(),
    ]


def _package(name: str) -> Finding:
    try:
        return Finding(name, "ok", version(name))
    except PackageNotFoundError:
        return Finding(name, "problem", f"not installed; pip install {name}")


def _faiss() -> Finding:
    found = [f"{name} {_version(name)}" for name in ("faiss-cpu", "faiss-gpu") if _version(name)]
    if len(found) > 1:
        return Finding(
            "faiss",
            "warning",
            f"{' and '.join(found)} write the same folder and break each other; "
            f"pip uninstall both, then install one: pip install 'dmlbench[cpu]'",
        )
    if not found:
        return Finding(
            "faiss",
            "warning",
            "not installed: retrieval metrics work, NMI and AMI are left out; "
            "pip install 'dmlbench[cpu]' or 'dmlbench[gpu]'",
        )
    try:
        import faiss  # noqa: F401
    except ImportError as error:
        return Finding("faiss", "problem", f"{found[0]} cannot be imported: {error}")
    return Finding("faiss", "ok", found[0])


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def _device() -> Finding:
    try:
        import torch
    except ImportError as error:
        return Finding("device", "problem", f"torch cannot be imported: {error}")
    if torch.cuda.is_available():
        return Finding("device", "ok", torch.cuda.get_device_name())
    return Finding("device", "ok", f"cpu, {available_cores()} cores")


def _plugins() -> list[Finding]:
    from dmlbench.plugins.loading import load_plugins

    return [
        Finding(
            f"plugin {record.distribution} {record.version}",
            "ok" if record.status == "ok" else "problem",
            record.reason or ", ".join(f"{len(names)} {kind}" for kind, names in record.offers),
        )
        for record in load_plugins().plugins
    ]


def _cache() -> Finding:
    from dmlbench.data.cache import cache_dir
    from dmlbench.errors import UsageError

    try:
        folder = cache_dir()
    except UsageError as error:
        return Finding("cache", "problem", str(error))
    parent = folder
    while not parent.exists():
        parent = parent.parent
    if not (parent.is_dir() and os.access(parent, os.W_OK)):
        return Finding(
            "cache", "warning", f"{folder} cannot be written; set DMLBENCH_CACHE to one that can"
        )
    return Finding("cache", "ok", str(folder))
