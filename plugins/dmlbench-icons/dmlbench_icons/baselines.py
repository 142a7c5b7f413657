"""What the test images give without training: ``python -m dmlbench_icons.baselines``.

Legend: N test images, S pixels a side, F feature dimension.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator, Sequence

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from dmlbench.data.images import ImageSet
from dmlbench.evaluate import retrieval
from dmlbench_icons.dataset import Icons

_BATCH = 64


def raw_pixels(test: ImageSet) -> np.ndarray:
    """The ink of each test image as a vector, (N, S·S) float32."""
    images = test.images[np.arange(len(test))]
    return (255 - images.reshape(len(test), -1)).astype(np.float32)


def features(network: nn.Module, test: ImageSet, size: int) -> np.ndarray:
    """The features (N, F) of a backbone of dmlbench, for its input of `size` pixels a side."""
    network.eval()
    mean, std = (torch.tensor(v).view(1, 3, 1, 1) for v in (network.mean, network.std))
    found = []
    with torch.no_grad():
        for start in range(0, len(test), _BATCH):
            index = np.arange(start, min(start + _BATCH, len(test)))
            images = torch.from_numpy(test.images[index]).float() / 255
            if images.shape[-1] != size:
                images = functional.interpolate(images, size, mode="bilinear", antialias=True)
            found.append(network((images.expand(-1, 3, -1, -1) - mean) / std).numpy())
    return np.concatenate(found)


def _settings(pretrained: Sequence[int]) -> Iterator[tuple[str, int, Callable[[ImageSet], object]]]:
    """Name, pixels a side, and what makes the embeddings of the test images."""
    from dmlbench.backbones.resnet_mini import ResNetMini

    for size in (32, 64):
        yield f"raw pixels, {size} px", size, raw_pixels
    for seed in range(3):

        def untrained(test: ImageSet, seed: int = seed) -> np.ndarray:
            torch.manual_seed(seed)
            return features(ResNetMini(), test, 32)

        yield f"resnet-mini, untrained, seed {seed}, 32 px", 32, untrained
    for size in pretrained:

        def of_imagenet(test: ImageSet, size: int = size) -> np.ndarray:
            from dmlbench_efficientnet_lite.backbone import EfficientNetLite0

            return features(EfficientNetLite0(pretrained=True), test, size)

        yield f"EfficientNet-Lite0, ImageNet, {size} px", size, of_imagenet


def main() -> None:
    """Print a row per embedding."""
    parser = argparse.ArgumentParser(prog="dmlbench_icons.baselines", description=__doc__)
    parser.add_argument(
        "--pretrained",
        type=int,
        nargs="*",
        default=[],
        metavar="PIXELS",
        help="also EfficientNet-Lite0 (dmlbench-efficientnet-lite) at these sizes",
    )
    print(f"{'':45}{'R@1':>6}{'MAP@R':>8}  in percent; R@1 without the query's own set")
    for name, size, embed in _settings(parser.parse_args().pretrained):
        test = Icons(image_size=size).test
        embeddings = embed(test)
        found = retrieval(embeddings, test.labels)
        others = without_own_set(embeddings, test)
        print(f"{name:45}{found.recall_at[1]:6.1%}{found.map_at_r:8.1%}  {others:.1%}", flush=True)


def without_own_set(embeddings: np.ndarray, test: ImageSet) -> float:
    """Return Recall@1 where each query searches the drawings of other sets than its own.

    Queries whose class has no drawing in another set are left out.
    """
    owners = np.array([drawing.split("/")[0] for drawing in test.ids])
    hits = counted = 0
    for owner in np.unique(owners):
        own, rest = np.flatnonzero(owners == owner), np.flatnonzero(owners != owner)
        found = retrieval(
            embeddings[own], test.labels[own], embeddings[rest], test.labels[rest], ks=(1,)
        )
        hits += found.recall_at[1] * found.num_queries
        counted += found.num_queries
    return hits / counted


if __name__ == "__main__":
    main()
