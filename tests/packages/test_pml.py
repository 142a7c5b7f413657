"""dmlbench-pml: every part of the installed pytorch-metric-learning, exact and by name."""

from __future__ import annotations

import importlib
import inspect
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import pytorch_metric_learning
import torch
from pytorch_metric_learning import distances, losses, miners, reducers

import dmlbench
from dmlbench.cli import main
from dmlbench.errors import UsageError
from dmlbench.plugins.loading import load_plugins
from dmlbench.testing import LOSS_CHECKS, check_loss

SOURCE = Path(pytorch_metric_learning.__file__).parent
PLUGIN = Path(__file__).parents[2] / "plugins" / "dmlbench-pml"

pytestmark = [
    pytest.mark.usefixtures("pml"),
    # The library's own.
    pytest.mark.filterwarnings("ignore:Using a non-tuple sequence"),
    pytest.mark.filterwarnings("ignore:Values of Tp or Tn are too high"),
]


def _catalogue():
    """Read before the plugin is installed, for the parameters of tests."""
    sys.path.insert(0, str(PLUGIN))
    try:
        return importlib.import_module("dmlbench_pml.catalogue").catalogue()
    finally:
        sys.path.remove(str(PLUGIN))


CATALOGUE = _catalogue()


def batch(dtype=torch.float64):
    """Embeddings (24, 16) and labels (24,), four items of each of six classes together."""
    generator = torch.Generator().manual_seed(0)
    embeddings = torch.randn(24, 16, generator=generator, dtype=dtype, requires_grad=True)
    return embeddings, torch.arange(6).repeat_interleave(4)


def value_and_gradient(loss, call=None):
    embeddings, labels = batch()
    value = (call or loss)(embeddings, labels)
    value.backward()
    return value.detach(), embeddings.grad


def load(name):
    torch.manual_seed(0)
    return dmlbench.load_loss(name, num_classes=6, embedding_dim=16).double()


def classes_of(module):
    return {name for name, value in vars(module).items() if isinstance(value, type)}


@pytest.mark.parametrize(
    ("kind", "module"),
    [("loss", losses), ("miner", miners), ("distance", distances), ("reducer", reducers)],
)
def test_every_class_is_on_offer_or_left_out_with_a_reason(kind, module):
    parts, left_out = CATALOGUE.parts(kind), CATALOGUE.left_out(kind)
    assert {*parts} | {*left_out} == classes_of(module)
    assert not {*parts} & {*left_out}
    assert all(left_out.values())


def test_what_is_left_out_is_no_loss_of_embeddings_and_labels():
    """By behaviour: none of them gives a number for a batch."""
    for name in CATALOGUE.left_out("loss"):
        embeddings, labels = batch()
        with pytest.raises((TypeError, NotImplementedError, AttributeError, ValueError)):
            getattr(losses, name)()(embeddings, labels).backward()


def test_names_are_those_of_the_classes_and_files():
    registry = load_plugins()
    for name, class_name in {
        "pml:triplet-margin": "TripletMarginLoss",
        "pml:multi-similarity": "MultiSimilarityLoss",
        "pml:arcface": "ArcFaceLoss",
        "pml:arc-face": "ArcFaceLoss",
        "pml:supcon": "SupConLoss",
        "pml:cross-batch-memory": "CrossBatchMemory",
        "dmlbench-pml:n-pairs": "NPairsLoss",
        "p2s-grad-loss": "P2SGradLoss",
    }.items():
        assert registry.resolve("losses", name).spec.target.endswith(f":{class_name}")
    # The built-in ones keep their names for themselves.
    assert registry.resolve("losses", "multi-similarity").distribution == "dmlbench"


def test_listing_imports_neither_torch_nor_the_library():
    code = (
        "import sys; from dmlbench.plugins.loading import load_plugins; r = load_plugins();"
        "assert [p for p in r.plugins if p.distribution == 'dmlbench-pml'][0].status == 'ok', r;"
        "sys.exit(bool({'torch', 'pytorch_metric_learning'} & {*sys.modules}))"
    )
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


_MODULES = {"loss": losses, "miner": miners, "distance": distances}


def test_defaults_are_those_of_the_classes():
    """Against the live signatures, which the catalogue never looks at."""
    for kind in ("loss", "miner", "distance"):
        for name, part in CATALOGUE.parts(kind).items():
            own = inspect.signature(getattr(_MODULES[kind], name)).parameters.values()
            for parameter in own:
                if parameter.name in part.defaults and parameter.default is not parameter.empty:
                    assert part.defaults[parameter.name] == parameter.default, (name, parameter)


TWINS = {
    "pml:triplet-margin(margin=0.1,swap=true)": lambda: losses.TripletMarginLoss(0.1, swap=True),
    "pml:contrastive(pos_margin=1,neg_margin=0,distance=cosine-similarity)": lambda: (
        losses.ContrastiveLoss(1, 0, distance=distances.CosineSimilarity())
    ),
    "pml:triplet-margin(distance=lp(p=1,power=2,normalize_embeddings=false))": lambda: (
        losses.TripletMarginLoss(
            distance=distances.LpDistance(normalize_embeddings=False, p=1, power=2)
        )
    ),
    "pml:triplet-margin(reducer=threshold(low=0.1))": lambda: losses.TripletMarginLoss(
        reducer=reducers.ThresholdReducer(low=0.1)
    ),
    "pml:proxy-anchor(alpha=16)": lambda: losses.ProxyAnchorLoss(6, 16, alpha=16),
    "pml:subcenter-arcface(sub_centers=2)": lambda: losses.SubCenterArcFaceLoss(
        num_classes=6, embedding_size=16, sub_centers=2
    ),
    "pml:cross-batch-memory(loss=triplet-margin(margin=0.2),memory_size=64)": lambda: (
        losses.CrossBatchMemory(losses.TripletMarginLoss(0.2), 16, memory_size=64)
    ),
}


SIZES = {"num_classes": 6, "embedding_size": 16, "descriptors_dim": 16}
NEEDED = {
    "RankedListLoss": {"margin": 0.4, "Tn": 10},
    "CrossBatchMemory": {"loss": losses.ContrastiveLoss(), "embedding_size": 16},
    "CosFaceLoss": {"num_classes": 6, "embedding_size": 16},
    "SubCenterArcFaceLoss": {"num_classes": 6, "embedding_size": 16},
}


@pytest.mark.parametrize("class_name", [*CATALOGUE.losses])
def test_every_loss_by_its_defaults_is_the_library_s(class_name):
    """On a batch as training makes them, classes of one size together."""
    made = getattr(losses, class_name)
    asked = inspect.signature(made).parameters.values()
    needed = {p.name for p in asked if p.default is p.empty and p.kind is not p.VAR_KEYWORD}
    given = {name: size for name, size in SIZES.items() if name in needed}
    loss = load(f"pml:{CATALOGUE.losses[class_name].short_name}")
    torch.manual_seed(0)
    value, gradient = value_and_gradient(made(**{**given, **NEEDED.get(class_name, {})}).double())
    found, slope = value_and_gradient(loss)
    assert value.isfinite() and gradient.any()
    torch.testing.assert_close((found, slope), (value, gradient), rtol=1e-12, atol=0)


@pytest.mark.parametrize("name", TWINS)
def test_a_loss_is_the_library_s_with_those_parts(name):
    loss = load(name)
    torch.manual_seed(0)
    value, gradient = value_and_gradient(TWINS[name]().double())
    found, slope = value_and_gradient(loss)
    assert value > 0
    torch.testing.assert_close(found, value, rtol=1e-12, atol=0)
    torch.testing.assert_close(slope, gradient, rtol=1e-12, atol=0)


def test_a_miner_selects_for_the_loss():
    loss = load(
        "pml:triplet-margin(margin=0.3,miner=triplet-margin(margin=0.3,type_of_triplets=semihard,"
        "distance=cosine-similarity))"
    )
    miner = miners.TripletMarginMiner(0.3, "semihard", distance=distances.CosineSimilarity())
    own = losses.TripletMarginLoss(0.3)
    value, gradient = value_and_gradient(own, lambda e, y: own(e, y, miner(e, y)))
    found, slope = value_and_gradient(loss)
    unmined, _ = value_and_gradient(own)
    assert value != unmined
    torch.testing.assert_close((found, slope), (value, gradient), rtol=1e-12, atol=0)


def test_the_built_in_twin_has_the_same_value_and_gradient():
    for ours, theirs in {
        "ms": "pml:multi-similarity(miner=multi-similarity)",
        "triplet": "pml:triplet-margin",
        "contrastive": "pml:contrastive",
    }.items():
        value, gradient = value_and_gradient(load(ours))
        found, slope = value_and_gradient(load(theirs))
        torch.testing.assert_close((found, slope), (value, gradient), rtol=1e-6, atol=1e-9)


def _usable():
    losses_by_kind = {
        "miner": "pml:contrastive(miner={})",
        "distance": "pml:contrastive(distance={})",
        "reducer": "pml:contrastive(reducer={})",
        "regularizer": "pml:soft-triple(centers_per_class=2,weight_regularizer={})",
    }
    needs = {"threshold": "(low=0.01)", "sparse-centers": "(centers_per_class=2)"}
    for kind, loss in losses_by_kind.items():
        for part in CATALOGUE.parts(kind).values():
            # The divisor is for a loss that says what to divide by.
            able = "pml:margin(reducer={})" if part.short_name == "divisor" else loss
            yield able.format(part.short_name + needs.get(part.short_name, ""))


@pytest.mark.parametrize("name", [*_usable()])
def test_every_part_can_be_named(name):
    value, gradient = value_and_gradient(load(name))
    assert value.isfinite() and gradient.isfinite().all()


def test_an_unknown_part_is_an_error_with_those_that_there_are():
    with pytest.raises(UsageError, match="no miner 'semi-hard': there are .*, triplet-margin"):
        load("pml:triplet-margin(miner=semi-hard)")
    with pytest.raises(UsageError, match="TripletMarginMiner: .*'slack'"):
        load("pml:triplet-margin(miner=triplet-margin(slack=1))")
    with pytest.raises(UsageError, match="3 is no miner"):
        load("pml:triplet-margin(miner=3)")
    with pytest.raises(UsageError, match="CrossBatchMemory not supported for ProxyAnchorLoss"):
        load("pml:cross-batch-memory(loss=proxy-anchor)")
    with pytest.raises(UsageError, match="no parameter 'miner'"):
        load("pml:p2s-grad(miner=angular)")


def test_another_version_of_the_library_is_refused():
    with pytest.raises(UsageError, match="pip install pytorch-metric-learning==1.0"):
        load('pml:triplet-margin(pml_version="1.0")')


def test_a_new_release_needs_no_change(tmp_path, pml):
    """A copy of the library with another loss, under another version."""
    copy = tmp_path / "pytorch_metric_learning"
    shutil.copytree(SOURCE, copy, ignore=shutil.ignore_patterns("__pycache__"))
    init = copy / "__init__.py"
    init.write_text(re.sub(r'"[\d.]+"', '"99.0"', init.read_text("utf-8"), count=1))
    (copy / "losses" / "brand_new_loss.py").write_text(
        "from .triplet_margin_loss import TripletMarginLoss\n"
        "class BrandNewLoss(TripletMarginLoss):\n"
        "    '''From https://example.org/paper'''\n"
        "    def __init__(self, num_classes, embedding_size, slack=0.5, **kwargs):\n"
        "        super().__init__(swap=True, **kwargs)\n"
    )
    with (copy / "losses" / "__init__.py").open("a") as file:
        file.write("from .brand_new_loss import BrandNewLoss\n")
    newer = importlib.import_module("dmlbench_pml.catalogue").Catalogue(copy)
    part = newer.losses["BrandNewLoss"]
    assert newer.version == "99.0" and {*newer.losses} == {*CATALOGUE.losses, "BrandNewLoss"}
    assert part.short_name == "brand-new" and part.paper == "https://example.org/paper"
    assert part.sizes == {"num_classes": "num_classes", "embedding_dim": "embedding_size"}
    assert part.defaults["slack"] == 0.5 and part.defaults["margin"] == 0.05
    assert "swap" not in part.defaults and part.mines


@pytest.mark.parametrize("class_name", [*CATALOGUE.losses])
def test_the_known_failures_are_exactly_those_there_are(class_name):
    adapter = importlib.import_module("dmlbench_pml.adapters").adapter(class_name)
    known = importlib.import_module("dmlbench_pml.known_failures").KNOWN_FAILURES
    failed = {
        r.name: r.reason for r in check_loss(adapter, expected_failures={}) if r.outcome == "failed"
    }
    assert failed.keys() == known.get(class_name, {}).keys(), failed
    assert {*known.get(class_name, {})} <= {*LOSS_CHECKS}


def test_known_failures_name_classes_that_there_are():
    known = importlib.import_module("dmlbench_pml.known_failures").KNOWN_FAILURES
    assert {*known} <= {*CATALOGUE.losses}


@pytest.mark.parametrize(
    "name", ["pml:cross-batch-memory(memory_size=40)", "pml:dynamic-soft-margin"]
)
def test_what_the_library_keeps_outside_of_buffers_is_resumed(name):
    loss, other = load(name), load(name)
    for _ in range(3):
        value_and_gradient(loss)
    other.load_state_dict({k: v.clone() for k, v in loss.state_dict().items()})
    torch.testing.assert_close(value_and_gradient(other), value_and_gradient(loss))
    assert value_and_gradient(load(name))[0] != value_and_gradient(loss)[0]


def test_twins_stand_side_by_side_in_one_run(tiny, tmp_path, capsys):
    settings = [f"--set={key}={value}" for key, value in tiny["overrides"].items()]
    arguments = ["run", "--losses", "ms,pml:multi-similarity(miner=multi-similarity)"]
    arguments += ["--combiner", "none", "--dataset", "tiny", "--seeds", "1", "--jobs", "1"]
    with pytest.raises(SystemExit) as stop:
        main([*arguments, *settings, "--leaderboards", str(tmp_path / "out"), "--json"])
    assert stop.value.code == 0
    capsys.readouterr()
    entries = [json.loads(p.read_text()) for p in (tmp_path / "out").rglob("[0-9a-f]*.json")]
    by_name = {entry["losses"][0]["name"]: entry for entry in entries}
    assert {*by_name} == {"multi-similarity", "multi-similarity-loss"}
    theirs = by_name["multi-similarity-loss"]["losses"][0]
    assert theirs["distribution"] == "dmlbench-pml"
    assert theirs["params"]["pml_version"] == pytorch_metric_learning.__version__
    ours, other = (
        [trial["metrics"]["map_at_r"] for trial in by_name[name]["trials"]]
        for name in ("multi-similarity", "multi-similarity-loss")
    )
    # One function, two implementations: they part by rounding alone.
    assert ours == pytest.approx(other, abs=0.02)
    with pytest.raises(SystemExit):
        main(["leaderboard", "show", "--leaderboards", str(tmp_path / "out")])
    shown = capsys.readouterr().out
    assert "multi-similarity-loss" in shown


def test_a_loss_is_found_by_the_name_of_its_class(pml):
    registry = load_plugins()
    by_class = registry.resolve("losses", "pml:TripletMarginLoss")
    assert by_class is registry.resolve("losses", "pml:triplet-margin")
