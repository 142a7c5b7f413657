"""A trained model for programs without dmlbench, as TorchScript or ONNX, checked before it is kept.

Legend: B batch, S pixels a side, D embedding dimension.
"""

from __future__ import annotations

import copy
import json
import tempfile
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from dmlbench.errors import DmlbenchError, UsageError
from dmlbench.files import write_atomically
from dmlbench.training.network import EmbeddingNetwork

#: The largest difference that the check allows, relative to the median length of an embedding.
TOLERANCE = 1e-4
_BATCHES = (1, 2, 5)  # of the check: whatever was fixed to one size shows
_ABOUT = "dmlbench.json"
_OPSET = 18


class ExportFailed(DmlbenchError):
    """A model that cannot be exported, or whose export gives other embeddings."""


class PictureNetwork(nn.Module):
    """RGB images (B, 3, S, S) float32 of values from 0 to 1 -> embeddings (B, D) float32.

    The network with the normalisation of its transform, in float32.
    """

    def __init__(self, network: EmbeddingNetwork) -> None:
        super().__init__()
        self.network = copy.deepcopy(network).cpu()
        self.network.reduced_precision = False
        for name in ("mean", "std"):
            values = torch.tensor(getattr(network.transform, name)).view(-1, 1, 1)
            self.register_buffer(name, values)
        self.eval().requires_grad_(False)

    def forward(self, images: Tensor) -> Tensor:
        return self.network((images - self.mean) / self.std)


@torch.no_grad()
def export_network(
    network: EmbeddingNetwork, kind: str, out: Path, about: Mapping[str, object]
) -> float:
    """Write a network as `kind`, "torchscript" or "onnx", and compare the file's output with it.

    about: kept in the file beside the sizes of the input, as JSON.
    Gives the largest difference from the network's own embeddings, in float32, on random images in
    batches of several sizes, relative to the median length of an embedding.
    Raises `ExportFailed`, and writes nothing, where it exceeds `TOLERANCE` or the export fails;
    `UsageError` where packages that ONNX needs are missing.
    """
    size = network.transform.size
    notes = json.dumps(
        {
            **about,
            "input": "RGB, (batch, 3, size, size) float32, values from 0 to 1",
            "size": size,
            "resize": network.transform.resize,
            "keep": "whole" if network.transform.whole else "middle",
        }
    )
    pictures = PictureNetwork(network)
    write, load = _KINDS[kind]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model"
        example = torch.rand(2, 3, size, size, generator=torch.Generator().manual_seed(0))
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                write(pictures, example, path, notes)
                run = load(path)
                difference = max(_difference(network, pictures, run, batch) for batch in _BATCHES)
        except (DmlbenchError, MemoryError):
            raise
        except Exception as error:  # each exporter has errors of its own
            reason = " ".join(str(error).split())[:500]
            raise ExportFailed(f"It cannot be exported as {kind}: {reason}") from error
        if not difference <= TOLERANCE:
            raise ExportFailed(
                f"The export as {kind} gives other embeddings than the model: they differ by "
                f"{difference:.2g} of their length, and {TOLERANCE:g} is allowed. Nothing was "
                f"written."
            )
        content = path.read_bytes()
    out.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(out, lambda file: file.write(content))
    return difference


def _difference(
    network: EmbeddingNetwork,
    pictures: PictureNetwork,
    run: Callable[[Tensor], Tensor],
    batch: int,
) -> float:
    """Of the file's embeddings from those that the network gives stored images by its transform."""
    size = network.transform.size
    generator = torch.Generator().manual_seed(batch)
    stored = torch.randint(0, 256, (batch, 3, size, size), generator=generator, dtype=torch.uint8)
    wanted = pictures.network(network.transform.batch(stored))
    found = run(stored.float() / 255)
    if found.shape != wanted.shape:
        raise ExportFailed(f"the file gives {tuple(found.shape)}, not {tuple(wanted.shape)}")
    length = wanted.norm(dim=1).median().clamp_min(1e-12)
    return float((found - wanted).norm(dim=1).max() / length)


def _write_torchscript(pictures: PictureNetwork, example: Tensor, path: Path, notes: str) -> None:
    traced = torch.jit.trace(pictures, example, check_trace=False)
    torch.jit.save(traced, str(path), _extra_files={_ABOUT: notes})


def _load_torchscript(path: Path) -> Callable[[Tensor], Tensor]:
    return torch.jit.load(str(path))


def _write_onnx(pictures: PictureNetwork, example: Tensor, path: Path, notes: str) -> None:
    try:
        import onnx
        import onnxruntime  # noqa: F401 - the check needs it; better told before the work
        import onnxscript  # noqa: F401
    except ImportError as error:
        raise UsageError(
            f"Exporting to ONNX needs {error.name}: pip install 'dmlbench[onnx]'."
        ) from error
    torch.onnx.export(
        pictures,
        (example,),
        str(path),
        input_names=["images"],
        output_names=["embeddings"],
        dynamic_shapes={"images": {0: torch.export.Dim("batch")}},
        opset_version=_OPSET,
        external_data=False,
        dynamo=True,
        verbose=False,
    )
    model = onnx.load(str(path))
    onnx.helper.set_model_props(model, {_ABOUT: notes})
    onnx.save(model, str(path))


def _load_onnx(path: Path) -> Callable[[Tensor], Tensor]:
    import onnxruntime

    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])

    def run(images: Tensor) -> Tensor:
        (found,) = session.run(["embeddings"], {"images": np.ascontiguousarray(images.numpy())})
        return torch.from_numpy(found)

    return run


_KINDS: dict[
    str,
    tuple[
        Callable[[PictureNetwork, Tensor, Path, str], None],
        Callable[[Path], Callable[[Tensor], Tensor]],
    ],
] = {
    "torchscript": (_write_torchscript, _load_torchscript),
    "onnx": (_write_onnx, _load_onnx),
}
KINDS = tuple(_KINDS)
