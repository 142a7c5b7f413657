"""What this package offers. Imported by every listing, so nothing heavy is imported here."""

from dmlbench.hookspecs import LossSpec, hookimpl


@hookimpl
def dmlbench_losses():
    return [
        LossSpec(
            name="alignment-uniformity",
            target="dmlbench_template.loss:AlignmentUniformityLoss",
            summary="Positive pairs close together, all items spread over the sphere",
            reference="Wang, Isola, Understanding Contrastive Representation Learning through "
            "Alignment and Uniformity on the Hypersphere, ICML 2020 (arXiv 2005.10242)",
            defaults={"exponent": 2.0, "temperature": 2.0, "uniformity_weight": 1.0},
            # What `dmlbench tune` may try.
            search={
                "temperature": {"low": 0.5, "high": 8.0, "log": True},
                "uniformity_weight": {"low": 0.1, "high": 10.0, "log": True},
            },
        )
    ]
