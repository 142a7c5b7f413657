"""Oxford Flowers-102: 8,189 photographs of 102 kinds of flowers."""

from __future__ import annotations

from collections.abc import Iterator

from dmlbench.data.images import DatasetError
from dmlbench.data.listed_images import ListedImage
from dmlbench.data.locations import Found, Layout
from dmlbench.datasets.benchmark import BenchmarkDataset, half_by_number
from dmlbench.datasets.matlab import read_mat


class Flowers(BenchmarkDataset):
    """The first 51 classes train, the last 51 test.

    Classes are the numbers of ``imagelabels.mat``. ``setid.mat`` divides the images of every
    class, for classification; by it the test classes would not be unseen, and it is not read.
    Nilsback and Zisserman, Automated Flower Classification over a Large Number of Classes,
    ICVGIP 2008.
    """

    name = "flowers"
    folders = ("flowers-102", "flowers102", "102flowers", "oxford-102-flowers", "flowers")
    layouts = (
        Layout(
            "102flowers.tgz and imagelabels.mat",
            {"labels": ("imagelabels.mat", "jpg/imagelabels.mat"), "images": ("jpg/",)},
        ),
    )

    @classmethod
    def _list(cls, found: Found) -> Iterator[ListedImage]:
        file = found.parts["labels"]
        labels = read_mat(cls.name, file, "labels")
        whole = labels.ndim == 1 and labels.dtype.kind in "iuf" and (labels == labels.round()).all()
        if not whole or labels.min() < 1:
            raise DatasetError(
                f"{cls.name}: labels in {file} should be whole numbers from 1 on, one per image, "
                f"not {labels.dtype} {labels.shape}."
            )
        for number, label in enumerate(labels.astype(int).tolist(), 1):
            image = f"image_{number:05d}.jpg"
            yield ListedImage(
                id=f"jpg/{image}",
                label=f"{label:03d}",
                split=half_by_number(label, 51),
                path=found.parts["images"] / image,
                place=f"label {number} of {file.name}",
            )
