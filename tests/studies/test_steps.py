import pytest
import torch
from torch import nn

from hocbench.errors import BenchmarkError
from studies.speed.steps import CHANNELS_LAST, Step, check_agreement, drawn, leaf, quicker_layout, relative_difference
from studies.speed.timing import Setting
from tests.studies.conftest import ONE


class Scaled(nn.Module):
    """A convolution whose output, or gradient alone, is off by a factor."""

    def __init__(self, conv, forward=1.0, backward=1.0):
        super().__init__()
        self.conv, self.factors = conv, (forward, backward)

    def forward(self, x):
        y = self.conv(x)
        forward, backward = self.factors
        return y.detach() * (forward - backward) + y * backward


def step(name, module, x, **options):
    x = leaf(x, torch.contiguous_format)
    return Step(name, module, x, ONE, {"x": x}, **options)


@pytest.fixture
def conv():
    return nn.Conv2d(3, 4, 3, padding=1)


@pytest.fixture
def x():
    return torch.randn(2, 3, 6, 6)


def test_a_step_gives_the_gradients_of_a_linear_loss(conv, x):
    own = step("own", conv, x)
    slope = drawn((2, 4, 6, 6), "cpu", use="slope")
    (found,) = own.slopes(own.forward())
    (expected,) = torch.autograd.grad((conv(own.x) * slope).sum(), [own.x])
    torch.testing.assert_close(found, expected)
    assert own.x.grad is None
    assert conv.weight.grad is None


def test_a_step_without_wanted_gradients_builds_no_graph(conv, x):
    assert not Step("own", conv, x, ONE).forward().requires_grad


def test_candidates_in_other_layouts_that_compute_the_same_pass(conv, x):
    last = leaf(x, torch.channels_last)
    check_agreement([step("own", conv, x), Step("rival", Scaled(conv), last, ONE, {"x": last})], "here")


@pytest.mark.parametrize(
    ("fault", "what"),
    [({"forward": 1.05}, "output"), ({"backward": 0.95}, "gradients"), ({"forward": float("nan")}, "output")],
)
def test_a_candidate_that_computes_something_else_is_named(conv, x, fault, what, bench):
    steps = [step("own", conv, x), step("same", Scaled(conv), x), step("wrong", Scaled(conv, **fault), x)]
    text = rf"layers, 6 px, 2×3×6×6: wrong and own do not compute the same: {what} differ by .* \(allowed"
    with pytest.raises(BenchmarkError, match=text):
        bench.compare("layers", "6 px", steps)


def test_another_function_is_let_pass_where_it_is_known_but_not_another_shape(conv, x):
    own = step("own", conv, x)
    check_agreement([own, step("other", nn.Conv2d(3, 4, 3, padding=1), x, same=False)], "here")
    text = "here: other gives 2×4×4×4, own gives 2×4×6×6; nothing was timed"
    with pytest.raises(BenchmarkError, match=text):
        check_agreement([own, step("other", nn.Conv2d(3, 4, 3), x, same=False)], "here")


def test_the_check_leaves_batchnorm_and_its_mode_alone(x):
    network = nn.Sequential(nn.BatchNorm2d(3), nn.BatchNorm2d(3).eval())
    before = {name: value.clone() for name, value in network.state_dict().items()}
    check_agreement([step("own", network, x), step("again", network, x)], "here")
    assert [module.training for module in network] == [True, False]
    for name, value in network.state_dict().items():
        assert torch.equal(value, before[name])


def test_the_check_is_made_in_float32_whatever_the_setting(conv, x):
    seen = []
    conv.register_forward_hook(lambda _, inputs, y: seen.append(y.dtype))
    half = Step("own", conv, x, Setting(1, "cpu", "bfloat16"))
    check_agreement([half], "here")
    half.run()
    assert seen == [torch.float32, torch.bfloat16]


def test_times_come_back_for_each_step_in_their_order_with_ours_first(conv, x, bench):
    found = bench.compare(
        "layers", "6 px", [step("own", conv, x, note="channels-last"), step("rival", Scaled(conv), x)]
    )
    assert [(m.method, m.note, len(m.values)) for m in found] == [("own", "channels-last", 2), ("rival", "", 2)]
    assert {(m.shape, m.quantity, m.setting) for m in found} == {("2×3×6×6", "time_s", ONE)}


def test_bfloat16_steps_run(conv, x, bench):
    x = leaf(x, torch.contiguous_format)
    half = Step("own", conv, x, Setting(1, "cpu", "bfloat16"), {"x": x, "weight": conv.weight})
    y = half.forward()
    assert y.dtype == torch.bfloat16
    assert [slope.dtype for slope in half.slopes(y)] == [torch.float32] * 2


def test_the_quicker_layout_is_one_of_two_and_both_were_tried(conv, x):
    made = []

    def make(layout):
        made.append(layout)
        return step("dense", conv, x)

    _, layout = quicker_layout(make, 2)
    assert made == [torch.contiguous_format, CHANNELS_LAST[2]]
    assert layout in made


def test_the_relative_difference_is_over_all_tensors_together():
    a = [torch.tensor([3.0, 0.0]), torch.tensor([0.0])]
    assert relative_difference(a, [torch.tensor([0.0, 0.0]), torch.tensor([4.0])]) == pytest.approx(5 / 4)
    assert relative_difference(a, a) == 0
    assert relative_difference(a, [torch.zeros(2), torch.zeros(1)]) == float("inf")


def test_drawn_numbers_depend_on_their_axes_alone():
    torch.manual_seed(1)
    first = drawn((3,), "cpu", use="a")
    torch.manual_seed(2)
    assert torch.equal(drawn((3,), "cpu", use="a"), first)
    assert not torch.equal(drawn((3,), "cpu", use="b"), first)
