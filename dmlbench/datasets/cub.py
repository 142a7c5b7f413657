"""CUB-200-2011: 11,788 photographs of 200 kinds of birds."""

from __future__ import annotations

from collections.abc import Iterator

from dmlbench.data.images import DatasetError
from dmlbench.data.listed_images import ListedImage
from dmlbench.data.locations import Found, Layout
from dmlbench.datasets.benchmark import (
    BenchmarkDataset,
    half_by_number,
    inside,
    read_rows,
    whole_number,
)


class Cub(BenchmarkDataset):
    """The first 100 classes train, the last 100 test (Song et al., CVPR 2016).

    The set's own ``train_test_split.txt`` divides the images of every class, for classification;
    by it the test classes would not be unseen, and it is not read.
    Wah et al., The Caltech-UCSD Birds-200-2011 Dataset, CNS-TR-2011-001.
    """

    name = "cub"
    folders = ("CUB_200_2011", "CUB_200_2011/CUB_200_2011", "CUB-200-2011", "cub", "cub200")
    layouts = (
        Layout(
            "CUB_200_2011.tgz",
            {
                "list": ("images.txt",),
                "labels": ("image_class_labels.txt",),
                "images": ("images/",),
            },
        ),
    )

    @classmethod
    def _list(cls, found: Found) -> Iterator[ListedImage]:
        classes = {
            image: whole_number(cls.name, number, place)
            for place, (image, number) in read_rows(cls.name, found.parts["labels"], 2)
        }
        for place, (image, path) in read_rows(cls.name, found.parts["list"], 2):
            if image not in classes:
                raise DatasetError(
                    f"{cls.name}: image {image} ({place}) has no class in {found.parts['labels']}."
                )
            yield ListedImage(
                id=path,
                label=_class_name(path, classes[image], place),
                split=half_by_number(classes[image], 100),
                path=inside(cls.name, found.parts["images"], path, place),
                place=place,
            )


def _class_name(path: str, number: int, place: str) -> str:
    """Return the folder of an image, such as ``001.Black_footed_Albatross``, if it is its class."""
    folder = path.partition("/")[0]
    if folder.partition(".")[0] != f"{number:03d}":
        raise DatasetError(
            f"cub: {place}: {path} is in another class than {number}, which "
            "image_class_labels.txt gives it. One of the two lists was changed."
        )
    return folder
