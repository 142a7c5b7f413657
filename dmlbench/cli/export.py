"""``dmlbench export``: a trained model for programs without dmlbench."""

from __future__ import annotations

import json
from pathlib import Path

import click

from dmlbench.cli.options import json_option, trained_model_options, without_option


@click.command("export")
@click.option(
    "--format",
    "kind",
    type=click.Choice(["torchscript", "onnx"]),
    required=True,
    help="What to write.",
)
@trained_model_options("File to write.")
@without_option
@json_option
def export_command(
    entry: str,
    kind: str,
    out: Path,
    seed: int | None,
    split: int,
    leaderboards: Path,
    without: tuple[str, ...],
    as_json: bool,
) -> None:
    """Export a model that was trained for ENTRY: RGB images in, embeddings out.

    ENTRY is an id, a unique prefix of an id, or a file. The file is read back and compared with the
    model on random images before it is kept; if they differ, nothing is written and the exit code
    is 1.
    """
    from dmlbench.files import require_writable
    from dmlbench.plugins.loading import load_plugins
    from dmlbench.running.export import export_network
    from dmlbench.running.models import load_network
    from dmlbench.version import __version__

    require_writable(out.parent, "Give another file with --out.")
    network, found, trial = load_network(entry, load_plugins(without), leaderboards, seed, split)
    about = {
        "entry_id": found.entry_id,
        "seed": trial.seed,
        "split": trial.split,
        "dmlbench_version": __version__,
        "dimension": found.embedding_dim,
    }
    difference = export_network(network, kind, out, about)
    size = network.transform.size
    if as_json:
        values = {**about, "format": kind, "file": str(out), "size": size, "difference": difference}
        click.echo(json.dumps(values, indent=1))
    else:
        click.echo(
            f"{out}: {kind}, RGB images (batch, 3, {size}, {size}) of values from 0 to 1 to "
            f"embeddings (batch, {found.embedding_dim}); differs from the model by "
            f"{difference:.1g} of their length."
        )
