"""What this package offers. Imported by every listing, so nothing heavy is imported here."""

from dmlbench.hookspecs import DatasetSpec, hookimpl


@hookimpl
def dmlbench_datasets():
    return [
        DatasetSpec(
            name="icons",
            target="dmlbench_icons.dataset:Icons",
            summary="Pictograms: 605 meanings, as 15 icon sets draw them; 6,725 drawings",
            reference="The drawings of 15 icon sets, by their makers: "
            "plugins/dmlbench-icons/LICENCES.md",
        )
    ]
