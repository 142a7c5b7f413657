"""``dmlbench evaluate``: every metric of embeddings that are in a file."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from dmlbench.cli.options import json_option, leaderboards_option
from dmlbench.cli.paths import PathType

if TYPE_CHECKING:
    from dmlbench.evaluate.scored import Scored

_FEW_CLASSES = 30


def _file_option(name: str, text: str) -> Callable[..., Any]:
    return click.option(name, metavar="FILE", type=PathType(path_type=Path), help=text)


@click.command("evaluate")
@click.argument("file", type=PathType(path_type=Path))
@_file_option("--labels", "Labels of the embeddings, where FILE has none: .npy, .csv or .parquet.")
@_file_option(
    "--gallery", "Embeddings to search; without it, each query searches the other queries."
)
@_file_option("--gallery-labels", "Labels of the gallery, where its file has none.")
@click.option(
    "--label-column",
    metavar="NAME",
    default="label",
    show_default=True,
    help="Column of the labels in .csv and .parquet files.",
)
@click.option(
    "--ks", metavar="LIST", default="1,2,4,8", show_default=True, help="The K of Recall@K."
)
@click.option(
    "--similarity",
    type=click.Choice(["cosine", "euclidean"]),
    default="cosine",
    show_default=True,
    help="How embeddings are compared.",
)
@click.option(
    "--clustering/--no-clustering",
    default=True,
    show_default=True,
    help="Compute NMI and AMI. With many classes this takes longer than all other metrics.",
)
@click.option(
    "--resamples",
    type=click.IntRange(100, 1_000_000),
    default=10_000,
    show_default=True,
    help="Resamples of the bootstrap.",
)
@click.option(
    "--images",
    metavar="FOLDER|LIST",
    type=PathType(path_type=Path),
    help="Images of the embeddings, in their order: a folder, .csv with a column path, or .txt.",
)
@click.option(
    "--gallery-images",
    metavar="FOLDER|LIST",
    type=PathType(path_type=Path),
    help="Images of the gallery, in its order.",
)
@_file_option("--neighbours", "Write queries and their nearest images as HTML; needs --images.")
@_file_option(
    "--published",
    "List the metrics as a published result, whose source this JSON file describes.",
)
@leaderboards_option()
@json_option
def evaluate_command(
    file: Path,
    labels: Path | None,
    gallery: Path | None,
    gallery_labels: Path | None,
    label_column: str,
    ks: str,
    similarity: str,
    clustering: bool,
    resamples: int,
    images: Path | None,
    gallery_images: Path | None,
    neighbours: Path | None,
    published: Path | None,
    leaderboards: Path,
    as_json: bool,
) -> None:
    """Compute every metric of the embeddings in FILE, with 95 % intervals over classes.

    FILE is .safetensors or .npz with the arrays embeddings and labels (and perhaps gallery and
    gallery_labels), .npy with embeddings alone, or .csv or .parquet with a column of labels and
    numbered columns such as e0, e1, e2. Metrics are those of a run: a query is excluded by its
    index, and ties count against it.
    """
    from dmlbench.cli.neighbours import neighbours_writer
    from dmlbench.errors import UsageError
    from dmlbench.evaluate.clustering import FaissMissing
    from dmlbench.evaluate.labelled import read_labelled
    from dmlbench.evaluate.scored import score_labelled
    from dmlbench.leaderboard.entries.published_evaluation import evaluated, read_description
    from dmlbench.leaderboard.entries.published_store import write_published

    if gallery_labels is not None and gallery is None:
        raise UsageError("--gallery-labels needs --gallery.")
    queries = read_labelled(file, labels, label_column=label_column)
    searched = (
        None
        if gallery is None
        else read_labelled(gallery, gallery_labels, label_column=label_column)
    )
    draw = neighbours_writer(neighbours, images, gallery_images, queries, searched, similarity)
    described = None if published is None else read_description(published)
    given = {"ks": _depths(ks), "similarity": similarity, "resamples": resamples}
    try:
        scored = score_labelled(queries, searched, cluster=clustering, **given)
    except FaissMissing as error:
        click.echo(f"{error}", err=True)
        scored = score_labelled(queries, searched, cluster=False, **given)
    for one in (queries, searched):
        if one is not None and one.ignored:
            click.echo(f"{one.path}: not used: {', '.join(one.ignored)}", err=True)
    if draw is not None:
        draw()
        click.echo(f"Wrote {neighbours}.", err=True)
    if described is not None:
        files = [one for one in (file, labels, gallery, gallery_labels) if one is not None]
        result = evaluated(described, scored, similarity, files)
        path, new = write_published(leaderboards, result)
        click.echo(f"{'Wrote' if new else 'Already there:'} {path}", err=True)
    if as_json:
        click.echo(json.dumps(_as_json(scored, file, gallery, similarity, resamples), indent=1))
    else:
        _show(scored, similarity)


def _depths(text: str) -> list[int]:
    from dmlbench.errors import UsageError

    try:
        ks = [int(part) for part in text.split(",")]
    except ValueError:
        ks = []
    if not ks or min(ks) < 1 or max(ks) > 10**6:
        raise UsageError(f"--ks {text!r} must be whole numbers from 1, such as 1,10,100.")
    return ks


def _as_json(
    scored: Scored, file: Path, gallery: Path | None, similarity: str, resamples: int
) -> dict[str, object]:
    return {
        "file": str(file),
        "gallery": None if gallery is None else str(gallery),
        "similarity": similarity,
        "num_queries": scored.num_queries,
        "num_skipped": scored.num_skipped,
        "num_classes": scored.num_classes,
        "num_gallery": scored.num_gallery,
        "dimension": scored.dimension,
        "interval": {"confidence": 0.95, "over": "classes", "resamples": resamples},
        "metrics": {
            name: {"value": found.mean, "low": found.low, "high": found.high}
            for name, found in scored.metrics.items()
        },
    }


def _show(scored: Scored, similarity: str) -> None:
    from dmlbench.cli.tables import print_table, print_text
    from dmlbench.evaluate.metrics import metric_spec

    skipped = f" ({scored.num_skipped:,} without an item to find left out)"
    searched = "each other" if scored.num_gallery is None else f"{scored.num_gallery:,} items"
    print_text(
        f"{scored.num_queries:,} queries{skipped if scored.num_skipped else ''} of "
        f"{scored.num_classes:,} classes search {searched}; {scored.dimension} dimensions, "
        f"{similarity}"
    )
    rows = [
        (
            metric_spec(name).title,
            f"{100 * found.mean:.2f}",
            "" if found.low is None else f"{100 * found.low:.2f} to {100 * found.high:.2f}",
        )
        for name, found in scored.metrics.items()
    ]
    print_table(["Metric", "%", "95 % interval over classes"], rows)
    if scored.num_classes < _FEW_CLASSES:
        click.echo(
            f"From {scored.num_classes} classes an interval is too narrow; {_FEW_CLASSES} or more "
            f"are needed.",
            err=True,
        )
