"""What differs between the packages that ``dmlbench plugin new`` writes, kind by kind."""

from __future__ import annotations

from dataclasses import dataclass

_LISTED = "says what the package offers, without importing torch"


@dataclass(frozen=True, kw_only=True)
class ScaffoldKind:
    """The words of a package's README, and what it needs.

    plural: the kind in ``dmlbench list``; empty for trackers, which ``plugin list`` shows.
    use: the command that uses it; {called} is its name, {partner} another loss and {variable} the
        environment variable of a tracker.
    needs: its dependencies, as in a TOML list.
    """

    plural: str
    use: str
    needs: str
    starts_as: str
    plugin_does: str = _LISTED
    module_does: str
    test_does: str
    yours: str


_YOURS = """put your class into `{module}.py`, and its {source} into
`plugin.py`. The defaults there must be those of the class{more}"""

SCAFFOLD_KINDS = {
    "loss": ScaffoldKind(
        plural="losses",
        use="dmlbench run --losses {called},{partner}",
        needs='"dmlbench>=0.1", "torch"',
        starts_as="alignment and uniformity (Wang and Isola, ICML 2020)",
        module_does="the loss: `(embeddings (B, D), labels (B,)) -> scalar`",
        test_does="checks the loss by its definition, and against dmlbench's contract",
        yours=_YOURS.format(
            module="loss",
            source="paper, parameters and defaults",
            more=""", and `search` is what `dmlbench tune`
may try for them. If the class takes `num_classes` or `embedding_dim`, it is given them. Then let
the first test compute your formula, pair by pair.""",
        ),
    ),
    "combiner": ScaffoldKind(
        plural="combiners",
        use="dmlbench run --losses triplet,ms --combiner {called}",
        needs='"dmlbench>=0.1", "torch"',
        starts_as="the geometric mean (Chennupati et al., MultiNet++, CVPR Workshops 2019)",
        module_does="the combiner: `(losses (M,), heads) -> scalar`",
        test_does="checks the combiner by its definition, and against dmlbench's contract",
        yours=_YOURS.format(
            module="combiner",
            source="paper, parameters and defaults",
            more=""", and so must `heads`. `docs/plugins.md` of
dmlbench has what else a combiner may do: learn weights, look at gradients, have an embedding per
loss. Then let the first test compute your formula.""",
        ),
    ),
    "dataset": ScaffoldKind(
        plural="datasets",
        use="dmlbench run --dataset {called} --losses triplet,ms",
        needs='"dmlbench>=0.1", "numpy"',
        starts_as="drawn stripes",
        module_does="the dataset: `train` and `test`, images (N, C, S, S) with their labels",
        test_does="checks what every trial asks of a dataset, and that it can be learned",
        yours=_YOURS.format(
            module="dataset",
            source="source, parameters and defaults",
            more=""", and `recall_at` holds the K that your
field reports. Test classes must not be training classes. Raise `DatasetError` where files are
missing, and say how to get them.""",
        ),
    ),
    "backbone": ScaffoldKind(
        plural="backbones",
        use="dmlbench run --backbone {called} --losses triplet,ms",
        needs='"dmlbench>=0.1", "torch"',
        starts_as="three convolutions",
        module_does="the backbone: `images (B, 3, H, W) -> features (B, F)`",
        test_does="checks the features, and that an image alone has those that it has in a batch",
        yours=_YOURS.format(
            module="backbone",
            source="paper, parameters and defaults",
            more=""", and `image_size` is what it was made for.
`num_features`, `mean` and `std` are read by dmlbench.""",
        ),
    ),
    "tracker": ScaffoldKind(
        plural="",
        use="{variable}=log dmlbench run --losses triplet,ms",
        needs='"dmlbench>=0.1"',
        starts_as="a writer of lines of JSON",
        plugin_does="hands each event on; the tracker is imported with the first one",
        module_does="the tracker: takes the events of trials, and changes nothing",
        test_does="sends events through dmlbench's hook, and reads back what was written",
        yours="""put your class into `tracker.py`. `docs/plugins.md` of dmlbench lists the events
and their values. The run waits for each call, so be quick; what you raise is reported at its end
and costs no trial.""",
    ),
}
