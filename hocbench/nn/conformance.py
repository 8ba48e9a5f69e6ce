"""Whether a network of the user's own keeps the contract of `hocbench.nn.own`."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import torch
from safetensors.torch import load, save
from torch import Tensor, nn

from hocbench.errors import NetworkError
from hocbench.nn.cost import multiply_adds, parameter_count
from hocbench.nn.own import OwnConfig, build, check_shape
from hocbench.plugins import Verdict, fault_of

USUAL = OwnConfig("", "", "", outputs=2, width=8, stem="small", clip_length=8)
OUTPUTS = tuple(range(1, 6))
LENGTHS = (2, 5, 8, 16)
WIDTHS = (4, 16)
SIZES = (32, 48, 112)  # pixels
SIZE = 32  # where something is computed
ONE_ULP = 1e-5  # of the largest output: another batch may be computed in another order


def check_network(made_of: Any) -> list[Verdict]:
    """Check a class by every clause of the contract; those that need a network are missing if none can be built."""
    name = made_of.__name__
    unbuilt = fault_of(lambda: _builds(made_of, name))
    verdicts = [Verdict("it is built by outputs, width, stem and clip_length", unbuilt)]
    if unbuilt:
        return verdicts
    network = _built(made_of, USUAL)
    clips = _clips(3, USUAL.clip_length, 0)
    clauses = {
        "clips (N, 3, T, H, W) give float32 (N, T, outputs): T 2 to 16, 32 to 112 pixels, 1 to 5 outputs": lambda: (
            _keeps_shapes(made_of, name)
        ),
        "the same seed gives the same first weights": lambda: _same_start(made_of),
        "outputs are finite, for one clip and for three": lambda: _is_finite(network, clips),
        "evaluation mode computes the same twice": lambda: _repeats(network, clips),
        "in evaluation mode, a clip's outputs do not depend on those beside it": lambda: _mixes(network, clips),
        "a gradient reaches every parameter": lambda: _unreached(network, clips),
        "weights saved and loaded compute the same, bit by bit": lambda: _loads(made_of, network, clips),
        "parameters and multiply-adds can be counted": lambda: _uncounted(network),
    }
    verdicts += [Verdict(clause, fault_of(check)) for clause, check in clauses.items()]
    if not any(verdict.fault for verdict in verdicts):
        verdicts.append(Verdict("what the output of a frame depends on", note=_frames_seen(network)))
    return verdicts


def _built(made_of: Any, config: OwnConfig, seed: int = 0) -> nn.Module:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return build(made_of, made_of.__name__, config)


def _clips(count: int, length: int, seed: int) -> Tensor:
    return torch.randn(count, 3, length, SIZE, SIZE, generator=torch.Generator().manual_seed(seed))


def _configs() -> Iterator[tuple[OwnConfig, int]]:
    """Vary one thing at a time."""
    yield from ((replace(USUAL, outputs=outputs), SIZE) for outputs in OUTPUTS)
    yield from ((replace(USUAL, clip_length=length), SIZE) for length in LENGTHS)
    yield from ((replace(USUAL, width=width), SIZE) for width in WIDTHS)
    yield from ((replace(USUAL, stem="imagenet" if size > 64 else "small"), size) for size in SIZES)


def _builds(made_of: Any, name: str) -> None:
    for config, _ in _configs():
        build(made_of, name, config)


def _keeps_shapes(made_of: Any, name: str) -> None:
    for config, size in _configs():
        check_shape(build(made_of, name, config), name, config, size)


def _same_start(made_of: Any) -> str:
    first, second = (_built(made_of, USUAL).state_dict() for _ in range(2))
    return next((f"{name} differs" for name, value in first.items() if not torch.equal(value, second[name])), "")


@torch.no_grad()
def _is_finite(network: nn.Module, clips: Tensor) -> str:
    for batch in (clips, clips[:1]):
        if not network.eval()(batch).isfinite().all():
            return f"NaN or infinity among the outputs for a batch of {len(batch)}"
    return ""


@torch.no_grad()
def _repeats(network: nn.Module, clips: Tensor) -> str:
    return _differs(network.eval()(clips), network(clips), 0.0)


def _differs(output: Tensor, again: Tensor, tolerance: float) -> str:
    difference = float((output - again).abs().max() / output.abs().max().clamp(min=1e-12))
    return f"outputs differ by {difference:.1e} of the largest" if difference > tolerance else ""


@torch.no_grad()
def _mixes(network: nn.Module, clips: Tensor) -> str:
    network.eval()
    others = torch.cat([clips[:1], _clips(2, clips.shape[2], 1)])
    outputs = network(clips)[:1]
    return _differs(outputs, network(others)[:1], ONE_ULP) or _differs(outputs, network(clips[:1]), ONE_ULP)


def _unreached(network: nn.Module, clips: Tensor) -> str:
    network.train()
    output = network(clips)
    (output * torch.randn(output.shape, generator=torch.Generator().manual_seed(2))).sum().backward()
    trained = {name: value.grad for name, value in network.named_parameters() if value.requires_grad}
    lost = [name for name, gradient in trained.items() if gradient is None]
    network.zero_grad(set_to_none=True)
    if not trained:
        return "it has no parameter to train"
    return f"none reaches {', '.join(lost)}; use them or leave them out" if lost else ""


@torch.no_grad()
def _loads(made_of: Any, network: nn.Module, clips: Tensor) -> str:
    content = save({name: value.contiguous() for name, value in network.state_dict().items()})
    other = _built(made_of, USUAL, seed=1)
    other.load_state_dict(load(content))
    expected, output = network.eval()(clips), other.eval()(clips)
    return "" if torch.equal(expected, output) else "outputs differ; keep what it learns in parameters or buffers"


def _uncounted(network: nn.Module) -> str:
    if not parameter_count(network) or not multiply_adds(network, (1, 3, USUAL.clip_length, SIZE, SIZE)):
        raise NetworkError("nothing is counted")
    return ""


def _frames_seen(network: nn.Module) -> str:
    """Describe how far the output of the middle frame looks, by its gradient."""
    length = USUAL.clip_length
    clips, middle = _clips(1, length, 3).requires_grad_(), length // 2
    network.eval()(clips)[0, middle].sum().backward()
    seen = [] if clips.grad is None else clips.grad.abs().sum((0, 1, 3, 4)).nonzero().flatten().tolist()
    if not seen:
        return "no frame: its outputs do not depend on the clip"
    before, after = middle - min(seen), max(seen) - middle
    if (before, after) == (0, 0):
        return "that frame alone: it sees no motion"
    whole = " (all of a window)" if (before, after) == (middle, length - 1 - middle) else ""
    return f"{before} frames before it and {after} after it, of {length}{whole}"
