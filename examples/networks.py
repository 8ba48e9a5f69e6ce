"""A 2-D residual network whose blocks exchange channels with the frames beside them: TSM (Lin et al., ICCV 2019)."""

from itertools import pairwise

import torch
from torch import nn


class Block(nn.Module):
    def __init__(self, inputs, outputs, stride):
        super().__init__()
        first, second = nn.Conv2d(inputs, outputs, 3, stride, 1), nn.Conv2d(outputs, outputs, 3, 1, 1)
        norm = nn.BatchNorm2d
        self.inside = nn.Sequential(first, norm(outputs), nn.ReLU(), second, norm(outputs))
        pool = nn.AvgPool2d(stride, ceil_mode=True)
        self.beside = nn.Sequential(pool, nn.Conv2d(inputs, outputs, 1)) if inputs != outputs else nn.Identity()

    def forward(self, x, frames):
        clips, part = x.unflatten(0, (-1, frames)), max(1, x.shape[1] // 8)
        none = torch.zeros_like(clips[:, :1, :part])
        earlier = torch.cat([clips[:, 1:, :part], none], 1)
        later = torch.cat([none, clips[:, :-1, part : 2 * part]], 1)
        shifted = torch.cat([earlier, later, clips[:, :, 2 * part :]], 2).flatten(0, 1)
        return torch.relu(self.inside(shifted) + self.beside(x))


class TSM(nn.Module):
    def __init__(self, outputs, width, stem, clip_length):
        super().__init__()
        size, pool = (7, nn.MaxPool2d(3, 2, 1)) if stem == "imagenet" else (3, nn.Identity())
        conv = nn.Conv2d(3, width, size, 2, size // 2, bias=False)
        self.stem = nn.Sequential(conv, nn.BatchNorm2d(width), nn.ReLU(), pool)
        channels = [width * multiple for multiple in (1, 1, 1, 2, 2, 4, 4, 8, 8)]
        self.blocks = nn.ModuleList(Block(a, b, 2 if a != b else 1) for a, b in pairwise(channels))
        self.head = nn.Linear(8 * width, outputs)

    def forward(self, x):
        frames = x.shape[2]
        x = self.stem(x.transpose(1, 2).flatten(0, 1))
        for block in self.blocks:
            x = block(x, frames)
        return self.head(x.mean((-2, -1))).unflatten(0, (-1, frames))
