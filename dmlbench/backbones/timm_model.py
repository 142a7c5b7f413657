"""Any timm model as a backbone."""

from __future__ import annotations

import difflib

import timm
import torch
from torch import Tensor, nn

from dmlbench.backbones.weight_files import weights_path
from dmlbench.backbones.weight_loading import load_weights, read_weights
from dmlbench.errors import UsageError


class TimmBackbone(nn.Module):
    """A timm model without its classifier: images (B, 3, H, W) -> pooled features (B, F).

    model: timm's name of the model, such as "resnet50" or "resnet50.a1_in1k".
    pretrained: load the pretrained weights; never replaced by a random start.
    weights: a file to start from instead, or its hash; see `dmlbench.backbones.weight_files`.
    pooling: how timm pools the last maps: "avg", "max", "avgmax" (the mean of both) and what else
        the model knows; None for what the model was made with.
    image_size: pixels a side of the input.
    Raises `UsageError` for an unknown model, weights that do not exist, cannot be fetched or do
    not fit.
    """

    def __init__(
        self,
        image_size: int,
        model: str | None = None,
        pretrained: bool = False,
        weights: str | None = None,
        pooling: str | None = None,
    ) -> None:
        super().__init__()
        check_model_name(model)
        if pretrained and weights:
            raise UsageError(
                f"The backbone {model} can start from its pretrained weights or from a file, "
                f"not from both: leave out --pretrained or --weights."
            )
        config = timm.get_pretrained_cfg(model)
        options = {"img_size": image_size} if config is not None and config.fixed_input_size else {}
        if pooling is not None:
            _check_pooling(model, options, pooling)
            options["global_pool"] = pooling
        try:
            self.network = timm.create_model(model, pretrained=pretrained, num_classes=0, **options)
        except Exception as error:
            if not pretrained:
                raise UsageError(f"timm cannot build the backbone {model}: {error}") from error
            raise UsageError(
                f"The pretrained weights of the backbone {model} cannot be loaded "
                f"({type(error).__name__}: {' '.join(str(error).split())[:300]}). Ways out: "
                f"connect to the model hub once, so the weights are cached; copy a cache made "
                f"elsewhere and point HF_HOME at it; give a local file with --weights FILE; take a "
                f"backbone whose weights come as a package (dmlbench list backbones); or train "
                f"from scratch with --no-pretrained."
            ) from error
        if weights:
            path = weights_path(weights)
            load_weights(self.network, read_weights(path), path, _classifiers(self.network))
        self.num_features = _feature_width(self.network, image_size)
        self.mean = tuple(self.network.pretrained_cfg["mean"])
        self.std = tuple(self.network.pretrained_cfg["std"])

    def forward(self, images: Tensor) -> Tensor:
        return self.network(images)


def _feature_width(network: nn.Module, image_size: int) -> int:
    """F, measured: models with a convolution after pooling report another number."""
    was_training = network.training
    network.eval()
    with torch.no_grad():
        features = network(torch.zeros(1, 3, image_size, image_size))
    network.train(was_training)
    return features.shape[1]


def _classifiers(network: nn.Module) -> tuple[str, ...]:
    """The names of the classifier's modules, of which some models have two."""
    names = network.pretrained_cfg.get("classifier") or ()
    return (names,) if isinstance(names, str) else tuple(names)


def _check_pooling(model: str, options: dict[str, int], pooling: str) -> None:
    """Raise `UsageError` unless the model, without its weights, can be built with this pooling."""
    if pooling:  # without any, the maps themselves would come out
        try:
            with torch.device("meta"):
                timm.create_model(model, num_classes=0, global_pool=pooling, **options)
            return
        except Exception:  # timm refuses by assertions and TypeErrors of its layers
            pass
    raise UsageError(
        f"The backbone {model} has no pooling {pooling!r}. A convolutional network of timm takes "
        f"avg, max, avgmax and catavgmax, a transformer token, avg, max and avgmax."
    )


def check_model_name(model: str | None) -> None:
    """Raise `UsageError` with the closest names unless timm has a model of this name."""
    if model is None:
        raise UsageError("The backbone timm needs a model: --backbone resnet50, for example.")
    if timm.is_model(model.partition(".")[0]):
        return
    close = difflib.get_close_matches(model, timm.list_models(), n=3)
    hint = f" Did you mean {' or '.join(close)}?" if close else ""
    raise UsageError(
        f"There is no backbone named {model!r}, neither among the plugins nor in timm "
        f"{timm.__version__}.{hint}"
    )
