"""Which rows of a sweep follow each other."""

from hocbench.evaluation.trends import sequences
from hocbench.experiment.description import RowKey


def rows(dataset, **weights):
    return [RowKey(dataset, method, "cp", "0.22", weight) for method, each in weights.items() for weight in each]


def test_the_static_network_is_the_weight_0_where_2d_networks_are_penalised():
    still = rows("faces", static=[0.0], lasso=[0.02, 0.1])
    clips = rows("moods", static=[0.0], lasso=[0.02, 0.1], temporal=[0.1, 0.0])
    copies = rows("sewa", static=[0.0], joint=[0.0, 0.1])
    found = sequences([*clips, *still, *copies])
    assert found == [
        ("lasso", still),
        ("lasso", clips[:3]),
        ("lasso", clips[:2:-1]),
        ("lasso", copies[1:]),
    ]
