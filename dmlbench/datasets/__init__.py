"""The built-in datasets: a file each, listed here by spec so that listing reads no image."""

from dmlbench.hookspecs import DatasetSpec

DATASETS: tuple[DatasetSpec, ...] = (
    DatasetSpec(
        name="glyphs",
        target="dmlbench.datasets.glyphs:Glyphs",
        summary="Embedded: 400 characters of the DejaVu fonts × 24 noisy views of 32 px",
        reference="DejaVu Fonts 2.37, 2016 (https://dejavu-fonts.github.io)",
        defaults={"classes": 400, "images_per_class": 24, "seed": 0},
    ),
    DatasetSpec(
        name="folder",
        target="dmlbench.datasets.folder:Folder",
        summary="Your own images: 'folder(root=PATH)', a directory a class, or a CSV file",
        defaults={"root": None, "csv": None, "split": "auto"},
    ),
)
