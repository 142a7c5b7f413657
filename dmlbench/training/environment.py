"""The machine and the software that a trial ran on, and the memory it took."""

from __future__ import annotations

import os
import platform
import resource
import sys
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch

_PACKAGES = ("torch", "timm", "numpy", "scikit-learn", "faiss-cpu", "faiss-gpu")


def describe_environment(device: torch.device) -> dict[str, Any]:
    """Versions, processor, device and thread count, as JSON values.

    On a GPU also whether its operations were to be deterministic.
    """
    import torch

    from dmlbench.training.determinism import is_deterministic

    on_gpu = device.type == "cuda"
    return {
        "python": platform.python_version(),
        "platform": f"{platform.system()} {platform.machine()}",
        "processor": processor(),
        "cpu_count": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "device": torch.cuda.get_device_name(device) if on_gpu else "cpu",
        "packages": versions(),
        **({"deterministic": is_deterministic()} if on_gpu else {}),
    }


def available_cores() -> int:
    """How many processor cores this process may use."""
    if hasattr(os, "sched_getaffinity"):  # Linux
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def versions() -> dict[str, str]:
    """The versions of the packages that numbers depend on, as far as they are installed."""
    return {name: found for name in _PACKAGES if (found := _version(name))}


def reset_peak_memory(device: torch.device) -> None:
    """Start counting peak memory from zero, where the system can."""
    import torch

    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
    try:
        # "5" resets the high-water mark of the resident set (Linux).
        with open("/proc/self/clear_refs", "w") as file:
            file.write("5")
    except OSError:
        pass


def peak_memory_bytes(device: torch.device) -> dict[str, int]:
    """Peak resident memory of this process and peak memory allocated on the device."""
    import torch

    on_gpu = device.type == "cuda"
    return {
        "peak_memory_bytes": _peak_resident_bytes(),
        "peak_device_memory_bytes": torch.cuda.max_memory_allocated(device) if on_gpu else 0,
    }


def _peak_resident_bytes() -> int:
    try:
        with open("/proc/self/status") as file:
            for line in file:
                if line.startswith("VmHWM:"):
                    return int(line.split()[1]) * 1024
    except OSError:
        pass
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


@cache
def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


@cache
def processor() -> str:
    """The processor's name, as the system gives it."""
    try:
        with open("/proc/cpuinfo") as file:
            for line in file:
                if line.startswith("model name"):
                    return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or "unknown"
