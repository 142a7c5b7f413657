"""Training images a second: the image cache against a DataLoader over the JPEG files.

    python benchmarks/data.py                                  # 224 px from 500 x 375 JPEG files
    python benchmarks/data.py --workers 0,1,2,4 --repeats 9 --json benchmarks/results/data.json

Both sides give the same batches: random-resized crop to 224 px, flip, normalised float32. The
loader decodes each file and crops, flips and normalises it with torchvision, in 0, 1 or 2 worker
processes; the cache holds the middle square at 256 px and augments the batch as tensors. The sides
take turns within one run, with one torch thread each; the process and its workers are kept to
`--cores` cores. A pass over all images is timed, medians are reported. What the cache costs once,
decoding and writing, is reported apart.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from dmlbench.data.transforms import TrainTransform

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
SIZE, STORED = 224, 256


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, print a table, and write JSON where asked."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, default=512)
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--workers", default="0,1,2", help="of the loader (default: 0,1,2)")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--cores", type=int, default=1)
    parser.add_argument("--json", type=Path, help="write the result here")
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[: options.cores])
    with tempfile.TemporaryDirectory() as folder:
        os.environ["DMLBENCH_CACHE"] = str(Path(folder, "cache"))
        paths = write_photographs(Path(folder), options.images)
        print(f"{len(paths)} files, mean {np.mean([p.stat().st_size for p in paths]) / 1e3:.0f} kB")
        started = time.perf_counter()
        cached = cache_side(Path(folder), paths, options.batch)
        once = time.perf_counter() - started
        sides = {"cache": cached} | {
            f"loader, {count} workers": loader_side(paths, options.batch, count)
            for count in map(int, options.workers.split(","))
        }
        seconds = take_turns(sides, options.repeats)
    result = summary(seconds, options, once)
    print(table(result))
    if options.json:
        options.json.parent.mkdir(parents=True, exist_ok=True)
        options.json.write_text(json.dumps(result, indent=1, sort_keys=True) + "\n")


def write_photographs(folder: Path, count: int) -> list[Path]:
    """JPEG files of 500 x 375 with the spectrum of photographs (amplitude falls with 1/f)."""
    rng = np.random.default_rng(0)
    rows, columns = np.fft.fftfreq(375)[:, None], np.fft.rfftfreq(500)[None]
    amplitude = 1 / np.maximum(np.hypot(rows, columns), 1 / 500)
    paths = []
    for index in range(count):
        path = folder / f"{index:05}.jpg"
        phase = np.exp(2j * np.pi * rng.random((3, *amplitude.shape)))
        pixels = np.fft.irfft2(amplitude * phase, s=(375, 500)).transpose(1, 2, 0)
        pixels = 127 + 50 * (pixels - pixels.mean()) / pixels.std()
        Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(path, quality=90)
        paths.append(path)
    return paths


def cache_side(folder: Path, paths: Sequence[Path], batch: int) -> Callable[[], int]:
    """A pass over the images as the training loop makes it: rows of the store, then tensors."""
    from dmlbench.data.decode import decode_files

    images = decode_files("benchmark", folder, paths, STORED).images
    steps = [{"name": "random_resized_crop"}, {"name": "flip"}]
    transform = TrainTransform(steps, SIZE, MEAN, STD)
    generator = torch.Generator().manual_seed(0)

    def run() -> int:
        order = torch.randperm(len(images), generator=generator).numpy()
        done = 0
        for start in range(0, len(order), batch):
            stored = torch.from_numpy(np.ascontiguousarray(images[order[start : start + batch]]))
            done += len(transform(stored, generator))
        return done

    return run


class Files(torch.utils.data.Dataset):
    """What a loader over image files usually is."""

    def __init__(self, paths: Sequence[Path]) -> None:
        from torchvision import transforms

        self.paths = paths
        self.transform = transforms.Compose(
            [
                transforms.RandomResizedCrop(SIZE),
                transforms.RandomHorizontalFlip(),
                transforms.ToTensor(),
                transforms.Normalize(MEAN, STD),
            ]
        )

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, index: int) -> torch.Tensor:
        with Image.open(self.paths[index]) as image:
            return self.transform(image.convert("RGB"))


def loader_side(paths: Sequence[Path], batch: int, workers: int) -> Callable[[], int]:
    """A pass of a DataLoader whose workers stay alive between passes."""
    loader = torch.utils.data.DataLoader(
        Files(paths),
        batch_size=batch,
        shuffle=True,
        num_workers=workers,
        persistent_workers=workers > 0,
    )
    return lambda: sum(len(images) for images in loader)


def take_turns(sides: dict[str, Callable[[], int]], repeats: int) -> dict[str, list[float]]:
    """Seconds of each pass, the sides one after the other; the first round warms up."""
    seconds: dict[str, list[float]] = {name: [] for name in sides}
    for turn in range(repeats + 1):
        for name, run in sides.items():
            started = time.perf_counter()
            run()
            if turn:
                seconds[name].append(time.perf_counter() - started)
    return seconds


def summary(seconds: dict[str, list[float]], options: argparse.Namespace, once: float) -> dict:
    """Images a second from the medians, and how often the cache is as fast as each loader."""
    rates = {name: options.images / statistics.median(times) for name, times in seconds.items()}
    ratios = {
        name: statistics.median(
            slow / fast for slow, fast in zip(times, seconds["cache"], strict=True)
        )
        for name, times in seconds.items()
        if name != "cache"
    }
    return {
        "images_a_second": {name: round(rate, 1) for name, rate in rates.items()},
        "cache_is_faster": {name: round(ratio, 2) for name, ratio in ratios.items()},
        "filling_the_cache_images_a_second": round(options.images / once, 1),
        "seconds": {name: [round(s, 3) for s in times] for name, times in seconds.items()},
        "setting": {
            "images": options.images,
            "file": "500 x 375 JPEG, quality 90",
            "output": f"{SIZE} px, random-resized crop, flip, normalise",
            "batch": options.batch,
            "cores": options.cores,
            "repeats": options.repeats,
            "torch": torch.__version__,
            "processor": platform.machine(),
        },
    }


def table(result: dict) -> str:
    """The result as lines of text."""
    lines = [f"{'':24}images/s   cache is faster by"]
    for name, rate in result["images_a_second"].items():
        ratio = result["cache_is_faster"].get(name)
        lines.append(f"{name:24}{rate:8.0f}   {f'{ratio:.2f}x' if ratio else ''}".rstrip())
    lines.append(f"filling the cache, once: {result['filling_the_cache_images_a_second']} images/s")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
