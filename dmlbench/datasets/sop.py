"""Stanford Online Products: 120,053 photographs of 22,634 products offered for sale."""

from __future__ import annotations

from collections.abc import Iterator

from dmlbench.data.listed_images import ListedImage
from dmlbench.data.locations import Found, Layout
from dmlbench.datasets.benchmark import (
    BenchmarkDataset,
    inside,
    read_rows,
    require_head,
    whole_number,
)

_HEADER = ["image_id", "class_id", "super_class_id", "path"]


class Sop(BenchmarkDataset):
    """The official lists: Ebay_train.txt (11,318 products) and Ebay_test.txt (11,316).

    Halving the classes instead gives two halves of 11,317, which is another split.
    Song et al., Deep Metric Learning via Lifted Structured Feature Embedding, CVPR 2016.
    """

    name = "sop"
    folders = ("Stanford_Online_Products", "sop", "SOP", "online_products")
    layouts = (
        Layout(
            "Stanford_Online_Products.zip",
            {
                "train": ("Ebay_train.txt", "Info_Files/Ebay_train.txt"),
                "test": ("Ebay_test.txt", "Info_Files/Ebay_test.txt"),
                "images": ("bicycle_final/", "images/bicycle_final/"),
            },
        ),
    )

    @classmethod
    def _list(cls, found: Found) -> Iterator[ListedImage]:
        folder = found.parts["images"].parent
        for split in ("train", "test"):
            require_head(cls.name, found.parts[split], _HEADER)
            for place, (_, number, _, path) in read_rows(cls.name, found.parts[split], 4, head=1):
                yield ListedImage(
                    id=path,
                    label=f"{whole_number(cls.name, number, place):05d}",
                    split=split,
                    path=inside(cls.name, folder, path, place),
                    place=place,
                )
