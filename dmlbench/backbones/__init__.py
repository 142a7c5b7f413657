"""The built-in backbones: the embedded default, and any model of timm by its name."""

from dmlbench.hookspecs import BackboneSpec

BACKBONES: tuple[BackboneSpec, ...] = (
    BackboneSpec(
        name="resnet-mini",
        target="dmlbench.backbones.resnet_mini:ResNetMini",
        summary="Small residual network of timm's blocks for 32 px images, from scratch",
        reference="He et al., Deep Residual Learning for Image Recognition, CVPR 2016 "
        "(arXiv 1512.03385)",
        defaults={"channels": (16, 32, 64)},
        image_size=32,
    ),
    BackboneSpec(
        name="timm",
        target="dmlbench.backbones.timm_model:TimmBackbone",
        summary="Any timm model: --backbone NAME is short for 'timm(model=NAME)'",
        reference="Wightman, PyTorch Image Models, 2019 (doi 10.5281/zenodo.4414861)",
        defaults={"model": None, "pretrained": False, "weights": None, "pooling": None},
    ),
)
