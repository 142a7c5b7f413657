"""The built-in losses: a file each, listed here by spec so that listing imports no torch."""

from dmlbench.hookspecs import LossSpec
from dmlbench.losses.pair_specs import PAIR_LOSSES
from dmlbench.losses.proxy_specs import PROXY_LOSSES

LOSSES: tuple[LossSpec, ...] = PAIR_LOSSES + PROXY_LOSSES
