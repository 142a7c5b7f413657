"""Who is blamed for what cannot be built: the losses and combiner for their own errors alone."""

from __future__ import annotations

import pytest

from dmlbench.errors import DmlbenchError, UsageError
from dmlbench.plan.request import Request
from dmlbench.plugins.loading import load_plugins
from dmlbench.running.planning import make_plan
from dmlbench.training.data_source import DataSource
from dmlbench.training.readiness import check_buildable, dataset_errors

BROKEN = """
    from dmlbench.hookspecs import BackboneSpec, CombinerSpec, LossSpec, hookimpl

    @hookimpl
    def dmlbench_losses():
        return [LossSpec(name="bad-loss", target="broken_plugin:bad", summary="s",
                         defaults={"size": 1})]

    @hookimpl
    def dmlbench_combiners():
        return [CombinerSpec(name="bad-combiner", target="broken_plugin:Combiner", summary="s")]

    @hookimpl
    def dmlbench_backbones():
        return [BackboneSpec(name="bad-backbone", target="broken_plugin:bad", summary="s",
                             defaults={"size": 1})]

    def bad(size):
        raise RuntimeError("boom")

    class Combiner:
        def head_dims(embedding_dim, num_losses, width):
            return [embedding_dim]
        def __init__(self):
            raise ValueError("never")
"""


@pytest.fixture
def blamed(tiny, install, tmp_path):
    """Call with what a request holds beside the tiny dataset; gives the error."""
    install("broken", BROKEN)
    registry = load_plugins()

    def check(**request) -> DmlbenchError:
        overrides = {**tiny["overrides"], **request.pop("overrides", {})}
        plan = make_plan(
            Request(dataset="tiny", overrides=overrides, out=tmp_path, seeds=1, **request), registry
        )
        configuration = plan.configurations[-1]
        with pytest.raises(DmlbenchError) as raised:
            check_buildable(configuration, registry, DataSource(configuration, registry).training())
        return raised.value

    return check


def test_losses_and_combiners_are_blamed_for_what_they_refuse(blamed):
    error = blamed(losses=["triplet(margin=-1)"])
    assert type(error) is UsageError
    assert str(error).startswith("triplet(margin=-1) cannot be trained: ") and "-1" in str(error)
    error = blamed(losses=["ms", "bad-loss(size=2)"], combiners=["sum"])
    assert str(error) == (
        "sum(multi-similarity + bad-loss(size=2)) cannot be trained: RuntimeError: boom"
    )
    error = blamed(losses=["ms", "supcon"], combiners=["bad-combiner"])
    assert type(error) is UsageError
    assert str(error).startswith("bad-combiner(multi-similarity + supcon) cannot be trained: comb")


def test_losses_are_not_blamed_for_what_they_are_trained_with(blamed, tmp_path):
    error = blamed(losses=["ms"], overrides={"recipe.batch.classes": 100})
    assert type(error) is UsageError and str(error).startswith("The recipe takes 100 classes")
    error = blamed(losses=["ms"], backbone="bad-backbone")
    assert str(error) == "The backbone broken:bad-backbone cannot be built: RuntimeError: boom"
    # It begins like weights.
    file = tmp_path / "weights.pth"
    file.write_bytes(b"PK\x03\x04 and no more")
    error = blamed(losses=["ms"], backbone="test_resnet", weights=file)
    assert type(error) is UsageError and str(error).startswith(f"The weights {file} are neither")
    # Where both are at fault, each is told of in its turn.
    error = blamed(losses=["triplet(margin=-1)"], backbone="test_resnet", weights=file)
    assert str(error).startswith(f"The weights {file} are neither")


def test_a_dataset_that_cannot_be_used_is_told_of_by_itself(tmp_path):
    registry = load_plugins()
    request = Request(losses=["ms"], dataset=f"folder(root={tmp_path})", out=tmp_path, seeds=1)
    (configuration,) = make_plan(request, registry).configurations
    with pytest.raises(UsageError, match="^folder: .* holds no image in a class directory"):
        with dataset_errors(configuration):
            DataSource(configuration, registry).training()
    with pytest.raises(DmlbenchError, match="^The dataset dmlbench:folder cannot be .* KeyError"):
        with dataset_errors(configuration):
            raise KeyError("x")
