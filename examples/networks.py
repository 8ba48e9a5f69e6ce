"""TSM (Lin et al., ICCV 2019): a 2-D residual network whose blocks exchange channels with the frames beside them."""

from itertools import pairwise

import torch
from torch import nn


class Block(nn.Module):
    def __init__(self, inputs, outputs, stride):
        super().__init__()
        first, second = nn.Conv2d(inputs, outputs, 3, stride, 1), nn.Conv2d(outputs, outputs, 3, 1, 1)
        self.inside = nn.Sequential(first, nn.BatchNorm2d(outputs), nn.ReLU(), second, nn.BatchNorm2d(outputs))
        beside = nn.AvgPool2d(stride, ceil_mode=True), nn.Conv2d(inputs, outputs, 1)
        self.beside = nn.Sequential(*beside) if inputs != outputs else nn.Identity()

    def forward(self, x, frames):
        clips, part = x.unflatten(0, (-1, frames)), max(1, x.shape[1] // 8)
        early = nn.functional.pad(clips[:, 1:, :part], [0] * 7 + [1])
        late = nn.functional.pad(clips[:, :-1, part : 2 * part], [0] * 6 + [1, 0])
        shifted = torch.cat([early, late, clips[:, :, 2 * part :]], 2).flatten(0, 1)
        return torch.relu(self.inside(shifted) + self.beside(x))


class TSM(nn.Module):
    def __init__(self, outputs, width, stem, clip_length):
        super().__init__()
        size, stride = (7, 4) if stem == "imagenet" else (3, 2)
        self.stem = nn.Sequential(nn.Conv2d(3, width, size, stride, size // 2), nn.BatchNorm2d(width), nn.ReLU())
        channels = [width * multiple for multiple in (1, 1, 1, 2, 2, 4, 4, 8, 8)]
        self.blocks = nn.ModuleList(Block(a, b, 2 if a != b else 1) for a, b in pairwise(channels))
        self.head = nn.Linear(8 * width, outputs)

    def forward(self, x):
        frames, x = x.shape[2], self.stem(x.transpose(1, 2).flatten(0, 1))
        for block in self.blocks:
            x = block(x, frames)
        return self.head(x.mean((-2, -1))).unflatten(0, (-1, frames))
