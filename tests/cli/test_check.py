"""``dmlbench plugin check``: what is checked, what is said, and the code it ends with."""

from __future__ import annotations

import json

import pytest

from dmlbench.cli import main

PLUGIN = """
    from dmlbench.hookspecs import CombinerSpec, DatasetSpec, LossSpec, hookimpl

    @hookimpl
    def dmlbench_losses():
        return [
            LossSpec(name="pull", target="some_loss_plugin:Pull", summary="Pulls",
                     defaults={"power": 2}),
            LossSpec(name="halved", target="some_loss_plugin:Halved", summary="Half a gradient",
                     defaults={"power": 3}),
            LossSpec(name="gone", target="some_loss_plugin:Gone", summary="Not there"),
        ]

    @hookimpl
    def dmlbench_combiners():
        return [CombinerSpec(name="mean", target="some_loss_plugin:Mean", summary="Mean",
                             heads="per-loss")]

    def __getattr__(name):
        if name not in ("Pull", "Halved", "Mean"):
            raise AttributeError(name)
        from torch import nn
        from dmlbench.combiners.base import Combiner

        class Pull(nn.Module):
            def __init__(self, power=2):
                super().__init__()
                self.power = power

            def forward(self, embeddings, labels):
                units = nn.functional.normalize(embeddings)
                same = (labels[:, None] == labels).to(units).fill_diagonal_(0)
                return ((1 - units @ units.T) ** self.power * same).sum() / len(labels)

        class Halved(Pull):
            def forward(self, embeddings, labels):
                value = super().forward(embeddings, labels)
                return value / 2 + value.detach() / 2

        class Mean(Combiner):
            expected_failures = {"scaler": "no such check"}

            def forward(self, losses, heads):
                return losses.mean()

        return locals()[name]
"""


def check(capsys, *arguments):
    with pytest.raises(SystemExit) as stop:
        main(["plugin", "check", *arguments])
    shown = capsys.readouterr()
    return stop.value.code, shown.out, shown.err


@pytest.mark.slow
def test_a_loss_prints_each_check_and_the_sums(capsys):
    code, out, _ = check(capsys, "triplet(mining=hard)")
    assert code == 0
    lines = out.splitlines()
    assert lines[0].startswith("dmlbench ") and lines[0].endswith(", plugin")
    assert "dmlbench:triplet" in out and "finite-differences" in out and "light-listing" in out
    assert "moves-to-cuda" in out
    assert lines[-1].endswith("were skipped.") and "0 failed" in lines[-1]


def test_json_has_every_result(capsys):
    code, out, _ = check(capsys, "fixed", "--json")
    found = json.loads(out)
    assert code == 0
    assert [report["subject"] for report in found["reports"]] == ["dmlbench", "dmlbench:fixed"]
    results = [r for report in found["reports"] for r in report["results"]]
    assert found["ran"] == found["passed"] + found["failed"]
    assert found["ran"] + found["skipped"] == len(results)
    assert all(r["reason"] for r in results if r["outcome"] == "skipped")


def test_a_distribution_stands_for_all_that_it_offers(install, capsys):
    install("some-loss", PLUGIN)
    code, out, _ = check(capsys, "some-loss")
    assert code == 4
    assert "some-loss 1.0, plugin\n  passed   loads, light-listing" in out
    assert "some-loss:pull 1.0, loss" in out and "some-loss:mean 1.0, combiner" in out
    assert "FAILED   finite-differences: the gradient against finite differences" in out
    assert "FAILED   defaults: power is 3 in the spec and 2 in the class" in out
    assert "FAILED   target: some-loss: the target some_loss_plugin:Gone cannot be loaded" in out
    assert "FAILED   heads: heads is 'per-loss' in the spec and 'shared' in the class" in out
    assert "FAILED   expected-failures: expected_failures: there is no check named 'scaler'" in out
    pull = out.partition("some-loss:pull")[2].partition("some-loss:")[0]
    assert "FAILED" not in pull


@pytest.mark.slow
def test_a_plugin_that_imports_torch_to_be_listed_fails(install, capsys):
    install("heavy", "import torch\n" + "from dmlbench.hookspecs import hookimpl")
    code, out, _ = check(capsys, "heavy")
    assert code == 4
    assert "FAILED   light-listing: listing it imports torch" in out


def test_a_broken_plugin_fails_with_the_reason(install, capsys):
    install("broken", "import no_such_module")
    code, out, _ = check(capsys, "broken")
    assert code == 4 and "FAILED   loads: cannot be imported: ModuleNotFoundError" in out


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("tripet", "Did you mean triplet"),
        ("no-such-plugin", "Distributions with plugins: dmlbench"),
        ("triplet(slack=1)", "no parameter 'slack'"),
        ("dmlbench(a=1)", "takes no parameters"),
    ],
)
def test_what_cannot_be_checked_is_a_usage_error(capsys, name, message):
    code, _, err = check(capsys, name)
    assert code == 2 and message in err
