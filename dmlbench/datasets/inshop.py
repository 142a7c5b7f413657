"""In-Shop Clothes Retrieval (DeepFashion): 52,712 photographs of 7,982 clothing items."""

from __future__ import annotations

from collections.abc import Iterator

from dmlbench.data.images import DatasetError
from dmlbench.data.listed_images import ListedImage
from dmlbench.data.locations import Found, Layout
from dmlbench.datasets.benchmark import (
    BenchmarkDataset,
    inside,
    read_lines,
    read_rows,
    require_head,
    whole_number,
)

_HEADER = ["image_name", "item_id", "evaluation_status"]
_SPLITS = {"train": "train", "query": "test", "gallery": "gallery"}
_LIST = "list_eval_partition.txt"


class InShop(BenchmarkDataset):
    """The official partition: queries are searched in a gallery of other images of their items.

    The images are those of img.zip, 256 pixels wide; those of img_highres.zip are others.
    Liu et al., DeepFashion: Powering Robust Clothes Recognition and Retrieval with Rich
    Annotations, CVPR 2016.
    """

    name = "inshop"
    folders = (
        "In-shop Clothes Retrieval Benchmark",
        "In-shop_Clothes_Retrieval_Benchmark",
        "DeepFashion/In-shop Clothes Retrieval Benchmark",
        "DeepFashion",
        "In-shop",
        "in-shop",
        "inshop",
        "InShop",
    )
    layouts = (
        Layout(
            "img.zip and list_eval_partition.txt",
            {
                "list": (f"Eval/{_LIST}", f"Anno/{_LIST}", _LIST),
                # Wherever img.zip was unpacked; the paths of the list begin with img/.
                "images": ("Img/img/", "img/", "Img/"),
            },
        ),
    )

    @classmethod
    def _list(cls, found: Found) -> Iterator[ListedImage]:
        file = found.parts["list"]
        require_head(cls.name, file, _HEADER, line=2)
        count = whole_number(cls.name, read_lines(cls.name, file)[0].strip(), f"line 1 of {file}")
        number = 0
        for place, (path, item, status) in read_rows(cls.name, file, 3, head=2):
            if status not in _SPLITS:
                raise DatasetError(
                    f"{cls.name}: {place}: {status!r} should be one of {', '.join(_SPLITS)}."
                )
            number += 1
            yield ListedImage(
                id=path,
                label=item,
                split=_SPLITS[status],
                path=inside(cls.name, found.parts["images"], path.removeprefix("img/"), place),
                place=place,
            )
        if number != count:
            raise DatasetError(
                f"{cls.name}: {file} says that it lists {count} images, but it lists {number}. "
                "It was cut off or changed: get it again."
            )
