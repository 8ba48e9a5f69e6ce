"""Networks that keep the contract, and one that breaks each of its clauses."""

import numpy as np
import pytest
import torch
from torch import nn

from hocbench.nn import FactorizedConv, resnet18
from hocbench.nn.conformance import check_network


class Plain(nn.Module):
    """A network that keeps the contract, and looks at each frame by itself."""

    def __init__(self, outputs, width, stem, clip_length):
        super().__init__()
        self.conv, self.norm = nn.Conv3d(3, width, (1, 3, 3), stride=(1, 4, 4)), nn.BatchNorm3d(width)
        self.head = nn.Linear(width, outputs)

    def forward(self, x):
        return self.head(torch.relu(self.norm(self.conv(x))).mean((-2, -1)).movedim(1, 2))


class Later(Plain):
    """A frame looks at itself, the one before and the two after it."""

    def forward(self, x):
        y = super().forward(x)
        padded = torch.nn.functional.pad(y, (0, 0, 1, 2))
        return y + padded[:, :-3] + padded[:, 3:]


class Ours(nn.Module):
    """Layers of hocbench inside."""

    def __init__(self, outputs, width, **options):
        super().__init__()
        self.conv = FactorizedConv(3, width, (3, 3, 3), rank=4)
        self.head = nn.Linear(width, outputs)

    def forward(self, x):
        return self.head(self.conv(x).mean((-2, -1)).movedim(1, 2))


class Deaf(Plain):
    """The same outputs whatever it is shown."""

    def forward(self, x):
        return super().forward(torch.zeros_like(x))


def faults(made_of):
    return {verdict.clause: verdict.fault for verdict in check_network(made_of) if verdict.fault}


@pytest.mark.parametrize(
    ("made_of", "seen"),
    [
        (Plain, "that frame alone: it sees no motion"),
        (Deaf, "no frame: its outputs do not depend on the clip"),
        (Later, "1 frames before it and 2 after it, of 8"),
        (Ours, "1 frames before it and 1 after it, of 8"),
    ],
)
def test_a_network_that_keeps_the_contract_passes_and_shows_how_far_it_looks(made_of, seen):
    verdicts = check_network(made_of)
    assert [verdict for verdict in verdicts if verdict.fault] == [] and len(verdicts) == 10
    assert verdicts[-1].note == seen


def test_our_own_network_for_clips_keeps_the_contract():
    def ours(outputs, width, stem, clip_length):
        return resnet18(order=3, width=width, stem=stem, outputs=outputs)

    assert faults(ours) == {}


class Unseeded(Plain):
    def __init__(self, **options):
        super().__init__(**options)
        with torch.no_grad():
            self.head.bias.copy_(torch.from_numpy(np.random.default_rng().normal(size=self.head.bias.shape)))


class Alone(Plain):
    def __init__(self, outputs, **options):
        super().__init__(outputs=2, **options)


class Pooled(Plain):
    def forward(self, x):
        return super().forward(x).mean(1)


class Double(Plain):
    def forward(self, x):
        return super().forward(x).double()


class Elsewhere(Plain):
    def forward(self, x):
        return super().forward(x) * torch.arange(x.shape[2], dtype=torch.float32)[:, None]


class Infinite(Plain):
    def forward(self, x):
        return super().forward(x) / 0


class Restless(Plain):
    def forward(self, x):
        return super().forward(x) * (1 + torch.rand_like(x[0, 0, 0, 0, 0]))


class Mixing(Plain):
    def forward(self, x):
        y = super().forward(x)
        return y - y.mean(0)


class Idle(Plain):
    def __init__(self, **options):
        super().__init__(**options)
        self.unused = nn.Linear(1, 1)


class Hidden(Plain):
    def __init__(self, **options):
        super().__init__(**options)
        self.hidden = torch.randn(1)

    def forward(self, x):
        return super().forward(x) * self.hidden.to(x.device)


@pytest.mark.parametrize(
    ("made_of", "clause", "fault"),
    [
        (lambda **options: Plain(channels=3), "it is built by", "cannot be built by (outputs=1, width=8, stem='small'"),
        (lambda **options: print, "it is built by", "makes a builtin_function_or_method; a network is"),
        (Alone, "clips (N, 3, T, H, W) give", "makes torch.float32 of (2, 8, 2) of clips (2, 3, 8, 32, 32)"),
        (Pooled, "clips (N, 3, T, H, W) give", "makes torch.float32 of (2, 1) of clips"),
        (Double, "clips (N, 3, T, H, W) give", "makes torch.float64 of (2, 8, 1) of clips"),
        (Elsewhere, "clips (N, 3, T, H, W) give", "do not pass through it"),
        (Unseeded, "the same seed gives", "head.bias differs"),
        (Infinite, "outputs are finite", "NaN or infinity among the outputs for a batch of 3"),
        (Restless, "evaluation mode computes the same twice", "of the largest"),
        (Mixing, "in evaluation mode, a clip's", "of the largest"),
        (Idle, "a gradient reaches every parameter", "none reaches unused.weight, unused.bias; use them or leave them"),
        (Hidden, "weights saved and loaded compute the same", "keep what it learns in parameters or buffers"),
    ],
)  # fmt: skip
def test_each_broken_clause_is_named(made_of, clause, fault):
    name, text = next(iter(faults(made_of).items()))
    assert name.startswith(clause) and fault in text
