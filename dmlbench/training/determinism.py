"""Operations of a GPU that add in a fixed order, so a trial gives the same numbers twice."""

from __future__ import annotations

import warnings

import torch


def set_deterministic(device: torch.device, wanted: bool) -> None:
    """Choose for this process; a CPU's operations have a fixed order anyway.

    cuBLAS reads its part, `CUBLAS_WORKSPACE_CONFIG`, when CUDA starts: processes of trials are
    started with it. An operation that has no deterministic form, such as in a loss of a plugin,
    warns in the trial's log and is carried out.
    """
    if device.type != "cuda":
        return
    torch.use_deterministic_algorithms(wanted, warn_only=True)
    torch.backends.cudnn.deterministic = wanted
    torch.backends.cudnn.benchmark = False
    # Memory that nothing reads need not be written first, which torch does to find reads of it.
    torch.utils.deterministic.fill_uninitialized_memory = False
    warnings.filterwarnings("once", message=".*does not have a deterministic implementation.*")


def is_deterministic() -> bool:
    """Whether this process was told to be."""
    return torch.are_deterministic_algorithms_enabled()
