"""Oxford-IIIT Pets: 7,390 photographs of 37 breeds of cats and dogs."""

from __future__ import annotations

from collections.abc import Iterator

from dmlbench.data.images import DatasetError
from dmlbench.data.listed_images import ListedImage
from dmlbench.data.locations import Found, Layout
from dmlbench.datasets.benchmark import BenchmarkDataset, half_by_number, read_lines, whole_number


class Pets(BenchmarkDataset):
    """The first 19 breeds train, the last 18 test, in the order of their numbers in list.txt.

    All images of the folder belong to the set, those that ``list.txt`` does not list included:
    the file gives the number of each breed, the beginning of an image's name its breed.
    ``trainval.txt`` and ``test.txt`` divide the images of every breed, for classification; by them
    the test classes would not be unseen, and they are not read.
    Parkhi, Vedaldi, Zisserman, Jawahar, Cats and Dogs, CVPR 2012.
    """

    name = "pets"
    folders = ("oxford-iiit-pet", "oxford-iiit-pets", "Oxford-IIIT-Pet", "OxfordPets", "pets")
    layouts = (
        Layout(
            "images.tar.gz and annotations.tar.gz",
            {"list": ("annotations/list.txt", "list.txt"), "images": ("images/",)},
        ),
    )

    @classmethod
    def _list(cls, found: Found) -> Iterator[ListedImage]:
        file = found.parts["list"]
        breeds: dict[str, int] = {}
        named: dict[str, str] = {}  # images of the list, by the place where they are in it
        for number, line in enumerate(read_lines(cls.name, file), 1):
            cells = line.split()
            if not cells or line.startswith("#"):
                continue
            place = f"line {number} of {file.name}"
            if len(cells) != 4:
                raise DatasetError(
                    f"{cls.name}: {place} has {len(cells)} columns instead of 4: {line[:80]!r}."
                )
            breed = _breed(cells[0])
            wanted = whole_number(cls.name, cells[1], place)
            if breeds.setdefault(breed, wanted) != wanted:
                raise DatasetError(
                    f"{cls.name}: {place} gives {breed} the class {wanted}, earlier lines "
                    f"{breeds[breed]}: the list was changed."
                )
            named[f"{cells[0]}.jpg"] = place
        folder = found.parts["images"]
        there = {
            path.name
            for path in folder.iterdir()
            # Archives made on a Mac hold a hidden file beside each.
            if path.suffix == ".jpg" and not path.name.startswith(".")
        }
        for name in sorted(there | named.keys()):
            breed = _breed(name.removesuffix(".jpg"))
            if breed not in breeds:
                raise DatasetError(
                    f"{cls.name}: {folder / name} is of no breed that {file} numbers. "
                    "Move what is not of the dataset out of the folder."
                )
            yield ListedImage(
                id=f"images/{name}",
                label=f"{breeds[breed]:02d} {breed}",
                split=half_by_number(breeds[breed], 19),
                path=folder / name,
                place=named.get(name, f"in {folder}"),
            )


def _breed(name: str) -> str:
    """Return the breed that the name of an image begins with: Abyssinian_100 -> Abyssinian."""
    return name.rpartition("_")[0]
