"""``dmlbench plugin check`` of datasets and backbones tries what a run would refuse."""

from __future__ import annotations

import dmlbench
from dmlbench.conformance.check_plugin import check_name
from dmlbench.plugins.loading import load_plugins

PLUGIN = """
    from dmlbench.hookspecs import BackboneSpec, DatasetSpec, hookimpl

    def specs(kind, **names):
        return [
            kind(name=name, target=f"images_plugin:{target}", summary="Made up")
            for name, target in names.items()
        ]

    @hookimpl
    def dmlbench_datasets():
        return specs(DatasetSpec, bare="Bare", floats="Floats", asks="Asks", breaks="Breaks")

    @hookimpl
    def dmlbench_backbones():
        names = {"plain": "Plain", "short": "Short", "silent": "Silent", "batch-norm": "BatchNorm"}
        return [
            BackboneSpec(name=n, target=f"images_plugin:{t}", summary="Made up", image_size=8)
            for n, t in names.items()
        ]

    def __getattr__(name):
        if not name[0].isupper():
            raise AttributeError(name)
        import numpy as np
        from torch import nn
        from dmlbench.data.images import DatasetError, ImageSet

        rng = np.random.default_rng(0)

        def images(prefix, classes=12, dtype=np.uint8):
            pixels = rng.integers(0, 255, (classes * 4, 1, 16, 16)).astype(dtype)
            names = tuple(f"{prefix}{i}" for i in range(classes))
            return ImageSet(pixels, np.repeat(np.arange(classes), 4), names)

        class Bare:
            def __init__(self):
                self.train, self.test = images("a"), images("b")

        class Floats:
            def __init__(self):
                self.train, self.test = images("a", dtype=np.float32), images("b")

        class Asks:
            def __init__(self, root=None):
                raise DatasetError("no directory given")

        class Breaks:
            def __init__(self):
                raise ValueError("out of luck")

        class Plain(nn.Module):
            num_features, mean, std = 3, (0.5, 0.5, 0.5), [1, 1, 1]
            def forward(self, images):
                return images.mean((2, 3))

        class Short(Plain):
            num_features = 4

        class Silent(Plain):
            mean = 0.5

        class BatchNorm(Plain):
            def forward(self, images):
                features = super().forward(images)
                return features - features.mean(0)

        return locals()[name]
"""


def outcomes(name):
    *_, report = check_name(load_plugins(), name)
    found = {result.name: result for result in report.results}
    return found.get("images") or found["features"]


def test_what_a_run_refuses_a_check_refuses(install):
    install("images", PLUGIN)
    assert outcomes("bare").outcome == "passed"
    found = outcomes("floats")
    assert found.outcome == "failed"
    assert "images must be uint8 (N, C, H, W)" in found.reason and "float32" in found.reason
    assert outcomes("breaks").outcome == "failed" and "out of luck" in outcomes("breaks").reason
    assert outcomes("asks").outcome == "skipped" and "no directory" in outcomes("asks").reason
    assert outcomes("plain").outcome == "passed"
    assert "give features (8, 3), not (8, 4)" in outcomes("short").reason
    assert "mean must be three numbers" in outcomes("silent").reason
    assert "what else is in the batch decides on them" in outcomes("batch-norm").reason


def test_a_dataset_with_train_and_test_alone_trains(install, tiny, tmp_path):
    install("images", PLUGIN)
    request = {**tiny, "dataset": "bare", "seeds": 1}
    request["overrides"]["recipe.epochs"] = 1
    (entry,) = dmlbench.run(["ms"], out=tmp_path, **request)
    assert entry.trials[0].status == "completed" and entry.dataset.num_gallery_images == 0
    assert entry.dataset.report == []
