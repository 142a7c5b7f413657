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
        summary="Your own images: 'folder(root=PATH)', a directory per class, or a CSV file",
        defaults={"root": None, "csv": None, "split": "auto"},
    ),
    DatasetSpec(
        name="cub",
        target="dmlbench.datasets.cub:Cub",
        summary="CUB-200-2011: 11,788 photographs of 200 kinds of birds; `dmlbench data get cub`",
        reference="Wah et al., The Caltech-UCSD Birds-200-2011 Dataset, CNS-TR-2011-001",
        defaults={"root": None},
    ),
    DatasetSpec(
        name="cars",
        target="dmlbench.datasets.cars:Cars",
        summary="Cars-196: 16,185 photographs of 196 models of cars; `dmlbench data get cars`",
        reference="Krause et al., 3D Object Representations for Fine-Grained Categorization, "
        "3dRR 2013",
        defaults={"root": None},
    ),
    DatasetSpec(
        name="sop",
        target="dmlbench.datasets.sop:Sop",
        summary="Stanford Online Products: 120,053 photographs of 22,634 products; "
        "`dmlbench data get sop`",
        reference="Song et al., Deep Metric Learning via Lifted Structured Feature Embedding, "
        "CVPR 2016 (arXiv 1511.06452)",
        defaults={"root": None},
        recall_at=(1, 10, 100, 1000),
    ),
    DatasetSpec(
        name="inshop",
        target="dmlbench.datasets.inshop:InShop",
        summary="In-Shop Clothes: 52,712 photographs of 7,982 items, query against gallery; "
        "`dmlbench data get inshop`",
        reference="Liu et al., DeepFashion: Powering Robust Clothes Recognition and Retrieval "
        "with Rich Annotations, CVPR 2016",
        defaults={"root": None},
        recall_at=(1, 10, 20, 30),
    ),
    DatasetSpec(
        name="flowers",
        target="dmlbench.datasets.flowers:Flowers",
        summary="Oxford Flowers-102: 8,189 photographs of 102 kinds; `dmlbench data get flowers`",
        reference="Nilsback, Zisserman, Automated Flower Classification over a Large Number of "
        "Classes, ICVGIP 2008",
        defaults={"root": None},
    ),
    DatasetSpec(
        name="pets",
        target="dmlbench.datasets.pets:Pets",
        summary="Oxford-IIIT Pets: 7,390 photographs of 37 breeds; `dmlbench data get pets`",
        reference="Parkhi et al., Cats and Dogs, CVPR 2012",
        defaults={"root": None},
    ),
)
