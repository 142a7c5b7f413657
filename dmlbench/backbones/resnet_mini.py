"""The embedded default backbone: a residual network small enough for minutes on a CPU.

He, Zhang, Ren, Sun, Deep Residual Learning for Image Recognition, CVPR 2016 (arXiv 1512.03385).
"""

from __future__ import annotations

from collections.abc import Sequence

from timm.models.resnet import BasicBlock
from torch import Tensor, nn


class ResNetMini(nn.Module):
    """3×3 stem at stride 2, one basic block per number of channels, global average pooling.

    channels: of each block; the first keeps the stem's resolution, each later one halves it.
    Maps images (B, 3, H, W) to features (B, F), F the last number of channels.
    """

    mean = (0.5, 0.5, 0.5)
    std = (0.25, 0.25, 0.25)

    def __init__(self, channels: Sequence[int] = (16, 32, 64)) -> None:
        super().__init__()
        if not channels or any(not isinstance(c, int) or c < 1 for c in channels):
            raise ValueError(f"backbone resnet-mini: channels must be positive numbers: {channels}")
        self.num_features = channels[-1]
        self.stem = nn.Sequential(
            nn.Conv2d(3, channels[0], 3, stride=2, padding=1, bias=False),
            nn.BatchNorm2d(channels[0]),
            nn.ReLU(inplace=True),
        )
        self.blocks = nn.Sequential(
            *(
                _block(before, after, stride=1 if index == 0 else 2)
                for index, (before, after) in enumerate(
                    zip((channels[0], *channels[:-1]), channels, strict=True)
                )
            )
        )

    def forward(self, images: Tensor) -> Tensor:
        maps = self.blocks(self.stem(images))  # (B, F, H', W')
        return maps.mean(dim=(2, 3))  # (B, F)


def _block(before: int, after: int, stride: int) -> BasicBlock:
    shortcut = None
    if stride != 1 or before != after:
        shortcut = nn.Sequential(
            nn.Conv2d(before, after, 1, stride=stride, bias=False), nn.BatchNorm2d(after)
        )
    return BasicBlock(before, after, stride=stride, downsample=shortcut)
