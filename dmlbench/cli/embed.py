"""``dmlbench embed``: a folder of images by the trained model of an entry."""

from __future__ import annotations

import json
import time
from pathlib import Path

import click

from dmlbench.cli.options import json_option, trained_model_options, without_option
from dmlbench.cli.paths import PathType

_QUIET_SECONDS = 30.0


@click.command("embed")
@trained_model_options("File to write: .safetensors, or .npy with a .csv of paths beside it.")
@click.argument("folder", type=PathType(path_type=Path))
@click.option("--device", default="auto", show_default=True, help="cpu, cuda, cuda:1, ...")
@without_option
@json_option
def embed_command(
    entry: str,
    folder: Path,
    out: Path,
    seed: int | None,
    split: int,
    leaderboards: Path,
    device: str,
    without: tuple[str, ...],
    as_json: bool,
) -> int:
    """Embed the images in FOLDER by a model that was trained for ENTRY.

    ENTRY is an id, a unique prefix of an id, or a file. Images are scaled and cropped as the run
    saw test images, and the embedding is the one that was evaluated. Exit code 1 if a file could
    not be decoded; the others are embedded.
    """
    import torch

    from dmlbench.errors import UsageError
    from dmlbench.files import require_writable
    from dmlbench.plugins.loading import load_plugins
    from dmlbench.running.embed_folder import FORMATS, embed_folder, write_embedded
    from dmlbench.running.executors.devices import found_device
    from dmlbench.running.models import load_network
    from dmlbench.version import __version__

    if out.suffix not in FORMATS:
        raise UsageError(f"--out {out} must end in {' or '.join(FORMATS)}.")
    require_writable(out.parent, "Give another file with --out.")
    where = torch.device(found_device(device))
    network, found, trial = load_network(entry, load_plugins(without), leaderboards, seed, split)
    embedded = embed_folder(network.to(where), folder, where, _Progress())
    about = {
        "entry_id": found.entry_id,
        "seed": str(trial.seed),
        "split": str(trial.split),
        "dmlbench_version": __version__,
    }
    out.parent.mkdir(parents=True, exist_ok=True)
    written = write_embedded(embedded, out, about)
    for name, reason in embedded.failures.items():
        click.echo(f"{name} is left out: {reason}", err=True)
    count, dimension = embedded.embeddings.shape
    if as_json:
        values = {
            **about,
            "seed": trial.seed,
            "split": trial.split,
            "files": [str(path) for path in written],
            "num_images": count,
            "dimension": dimension,
            "class_names": list(embedded.class_names),
            "left_out": dict(embedded.failures),
        }
        click.echo(json.dumps(values, indent=1))
    else:
        classes = len(embedded.class_names)
        of = f" of {classes:,} classes" if classes else ""
        files = " and ".join(str(path) for path in written)
        click.echo(
            f"{count:,} images{of}, {dimension} dimensions, by {trial.title} of {found.entry_id}: "
            f"{files}"
        )
    return 1 if embedded.failures else 0


class _Progress:
    """Tells on stderr how many images are done, every half minute."""

    def __init__(self) -> None:
        self.told = time.monotonic()

    def __call__(self, done: int, total: int) -> None:
        if time.monotonic() - self.told >= _QUIET_SECONDS:
            self.told = time.monotonic()
            click.echo(f"{done:,} of {total:,} images embedded", err=True)
