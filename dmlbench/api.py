"""The public functions: what the command line does, for a program."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dmlbench.errors import DmlbenchError, TrialFailure, UsageError
from dmlbench.hookspecs import TrialEvent
from dmlbench.leaderboard.entries.entry import Entry
from dmlbench.plan.expressions import parse_call, split_list
from dmlbench.plan.labels import label
from dmlbench.plan.request import Request
from dmlbench.plugins.components import create_dataset, create_loss
from dmlbench.plugins.loading import load_plugins
from dmlbench.running.assemble import Origin
from dmlbench.running.jobs import Cluster, Resources
from dmlbench.running.planning import Plan, make_plan
from dmlbench.running.runner import execute_plan

if TYPE_CHECKING:
    from torch import nn

    from dmlbench.data.images import Dataset
    from dmlbench.training.network import EmbeddingNetwork


def run(
    losses: str | Sequence[str] = Request.losses,
    combiners: str | Sequence[str] | None = Request.combiners,
    dataset: str = Request.dataset,
    seeds: int | Sequence[int] = Request.seeds,
    out: str | os.PathLike[str] = Request.out,
    *,
    backbone: str | None = None,
    pretrained: bool | None = None,
    weights: str | os.PathLike[str] | None = None,
    recipe: str = Request.recipe,
    overrides: Mapping[str, Any] | None = None,
    singles: bool = True,
    tuned: bool = False,
    splits: int | Sequence[int] = Request.splits,
    jobs: int | None = None,
    threads: int = 1,
    device: str = "auto",
    clustering: bool = True,
    keep_weights: bool = True,
    trial_timeout: float | None = None,
    executor: str = "local",
    address: str | None = None,
    gpus_per_trial: float = 1.0,
    deterministic: bool = True,
    without: str | Sequence[str] = (),
    retry_failed: bool = False,
    submitter: str | None = None,
    paper: str | None = None,
    code: str | None = None,
    watch: Callable[[TrialEvent], None] | None = None,
    progress: bool | None = None,
) -> list[Entry]:
    """Train every loss alone and every combiner of them all, and write their entries.

    losses, combiners, dataset, backbone: names, with parameters if wanted:
        ``"triplet(margin=0.1)"``; in one text, separated by commas. combiners
        None: ``learned``, if there are several losses.
    weights: a file that the backbone starts from, safetensors or a state dict.
    seeds: how many, from 0, or which.
    splits: class splits, how many or which; each is trained with every seed. 0 is the dataset's
        own, the others are random halves of all its classes.
    out: folder of the leaderboards; what is there already is not trained again.
    overrides: values by dotted key, such as ``{"recipe.epochs": 4}``,
        ``{"protocol.dim_budget": "per-loss"}`` or ``{"protocol.refit": True}``.
    tuned: take the parameters that `dmlbench tune` found in `out`.
    clustering: whether to compute NMI and AMI, which can cost more than all retrieval metrics.
    keep_weights: whether to keep the weights of each trained model, for `load_model`.
    trial_timeout: seconds without progress after which a trial is ended; it leaves no result.
    executor: "local", or "ray" for the cluster at `address` (None: the one that Ray finds from
        here, or a new one on this machine), where a trial takes `gpus_per_trial` of a GPU.
    deterministic: on a GPU, whether operations add in a fixed order; recorded in the entries.
    submitter, paper, code: who stands behind the entries, and the addresses (http or https) of
        paper and code.
    watch: called with every event of every trial.
    progress: whether to show progress: in a notebook a bar, elsewhere plain lines on stderr. None:
        in a notebook alone.
    Returns the entries, in the order of the configurations; failed trials are in them.
    Raises `dmlbench.errors.UsageError` for a name or value that is invalid, `TrialFailure`
    if a trial's process died, and `DmlbenchError` where trials make no entry, both after all other
    trials have run.

        >>> entries = run(["triplet", "ms"], ["wedl"], seeds=5)  # doctest: +SKIP
        >>> entries[-1]  # doctest: +SKIP
        <Entry 3f0c8a1b2d4e5f60 wedl(triplet + multi-similarity) on glyphs, 5 trials>
    """
    origin = Origin(submitter=submitter, paper=paper, code=code)
    without = _names(without)
    registry = load_plugins(without)
    request = Request(
        losses=_names(losses),
        combiners=None if combiners is None else _names(combiners),
        dataset=dataset,
        backbone=backbone,
        pretrained=pretrained,
        weights=None if weights is None else Path(weights),
        recipe=recipe,
        seeds=seeds,
        splits=splits,
        overrides=overrides or {},
        singles=singles,
        tuned=tuned,
        out=Path(out),
    )
    plan = make_plan(request, registry)
    outcome = execute_plan(
        plan,
        registry,
        Resources(
            jobs=jobs,
            threads=threads,
            device=device,
            clustering=clustering,
            keep_weights=keep_weights,
            trial_timeout=trial_timeout,
            cluster=_cluster(executor, address, gpus_per_trial),
            deterministic=deterministic,
        ),
        without=without,
        retry_failed=retry_failed,
        origin=origin,
        watch=_watching(plan, retry_failed, watch, progress),
    )
    unrecorded = [
        f"{label(trial.configuration, registry)}, {trial.title}: {reason}"
        for trial, reason in outcome.failures
        if trial.folder.read_result() is None
    ]
    unwritten = " ".join(f"No entry: {reason}" for _, reason in outcome.unwritten)
    if unrecorded:
        lost = " ".join(["Some trials ended without a result.", *unrecorded])
        raise TrialFailure(f"{lost} {unwritten}".rstrip())
    if unwritten:
        raise DmlbenchError(unwritten)
    return outcome.entries


def _watching(
    plan: Plan,
    retry_failed: bool,
    watch: Callable[[TrialEvent], None] | None,
    progress: bool | None,
) -> Callable[[TrialEvent], None] | None:
    """What takes the events: the caller's function, a display of progress, both or None."""
    from dmlbench.running.notebook import NotebookProgress, in_notebook
    from dmlbench.running.progress_lines import ProgressLines
    from dmlbench.running.run_view import RunView

    notebook = in_notebook()
    if not (notebook if progress is None else progress):
        return watch
    view = RunView(plan, retry_failed)
    shown = NotebookProgress(view) if notebook else ProgressLines(view)

    def take(event: TrialEvent) -> None:
        shown.take(event)
        if watch is not None:
            watch(event)

    return take


def _cluster(executor: str, address: str | None, gpus_per_trial: float) -> Cluster | None:
    if executor not in ("local", "ray"):
        raise UsageError(f"executor must be 'local' or 'ray', not {executor!r}.")
    if not 0 < gpus_per_trial <= 1:
        raise UsageError(f"gpus_per_trial must be above 0 and at most 1, not {gpus_per_trial!r}.")
    if executor == "ray":
        return Cluster(address=address, gpus_per_trial=gpus_per_trial)
    if address is not None or gpus_per_trial != 1:
        raise UsageError("address and gpus_per_trial go with executor='ray'.")
    return None


def _names(given: str | Sequence[str]) -> list[str]:
    """Names as a list; one text is read as on the command line, with commas between names."""
    return split_list(given) if isinstance(given, str) else list(given)


def load_loss(
    name: str, *, num_classes: int = 2, embedding_dim: int = 64, **params: Any
) -> nn.Module:
    """Build the loss `name` of any installed plugin: (embeddings (B, D), labels (B,)) -> scalar.

    num_classes, embedding_dim: for losses with proxies or a classifier; others ignore them.
    params: the loss's own parameters; the rest keep their defaults.
    Raises `dmlbench.errors.UsageError` for an unknown name or parameter.

        >>> import torch
        >>> loss = load_loss("contrastive")
        >>> loss(torch.eye(3), torch.tensor([0, 0, 1])) > 0
        tensor(True)
        >>> load_loss("triplet", margin=0.2).margin
        0.2
    """
    short, inline = parse_call(name)
    return create_loss(load_plugins(), short, {**inline, **params}, num_classes, embedding_dim)


def load_dataset(
    name: str, *, image_size: int | None = None, class_split: int = 0, **params: Any
) -> Dataset:
    """Build the dataset `name`: ``.train``, ``.test`` and perhaps ``.gallery`` image sets.

    image_size: stored pixels a side; None for the dataset's default.
    class_split: 0 for the dataset's own, s for the s-th random half of all its classes.
    Raises `dmlbench.errors.UsageError` or `dmlbench.data.images.DatasetError`.

        >>> glyphs = load_dataset("glyphs", image_size=16)
        >>> glyphs.train.images.shape
        (4800, 1, 16, 16)
        >>> set(glyphs.train.class_names) & set(glyphs.test.class_names)
        set()
    """
    if class_split not in range(10**6 + 1):
        raise UsageError(f"class_split must be a whole number from 0 on, not {class_split!r}.")
    short, inline = parse_call(name)
    registry = load_plugins()
    own = create_dataset(registry, short, {**inline, **params}, image_size)
    if not class_split:
        return own
    from dmlbench.data.class_splits import ClassSplit

    return ClassSplit(own, class_split, registry.resolve("datasets", short).id)


def load_model(
    entry: str | os.PathLike[str],
    *,
    seed: int | None = None,
    split: int = 0,
    leaderboards: str | os.PathLike[str] = Request.out,
    device: str = "cpu",
    without: str | Sequence[str] = (),
) -> EmbeddingNetwork:
    """The trained model of one trial: images (B, 3, S, S) float32 -> embeddings (B, D) float32.

    The embeddings are those that were evaluated: of unit length, and reduced by PCA if the recipe
    says so. The model is in evaluation mode. Its `transform` makes the input (3, S, S) of an image
    file or a picture of Pillow.

    entry: the entry's id, a unique prefix of it, or its file.
    seed, split: which trial; seed None for the first completed one.
    leaderboards: the folder in which it was trained (the `out` of `run`).
    Raises `dmlbench.errors.UsageError` where entry, trial or kept weights are not there, and
    `VerificationError` for weights of another trial.

        >>> import torch
        >>> model = load_model("3f0c8a1b", seed=0)  # doctest: +SKIP
        >>> batch = torch.stack([model.transform(path) for path in paths])  # doctest: +SKIP
        >>> with torch.no_grad():  # doctest: +SKIP
        ...     embeddings = model(batch)
    """
    from dmlbench.running.models import load_network

    registry = load_plugins(_names(without))
    network, _, _ = load_network(entry, registry, Path(leaderboards), seed, split)
    return network.to(device)
