"""The built-in losses, combiners, datasets and backbones, offered as any plugin offers its own."""

from dmlbench.backbones import BACKBONES
from dmlbench.combiners import COMBINERS
from dmlbench.datasets import DATASETS
from dmlbench.hookspecs import hookimpl
from dmlbench.losses import LOSSES


@hookimpl
def dmlbench_losses():
    return LOSSES


@hookimpl
def dmlbench_combiners():
    return COMBINERS


@hookimpl
def dmlbench_datasets():
    return DATASETS


@hookimpl
def dmlbench_backbones():
    return BACKBONES
