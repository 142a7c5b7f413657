"""The built-in datasets: a file each, listed here by spec so that listing reads no image."""

from dmlbench.hookspecs import DatasetSpec

DATASETS: tuple[DatasetSpec, ...] = ()
