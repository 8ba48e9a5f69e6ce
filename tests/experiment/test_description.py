"""What all tables know of an experiment, on its way through text and files."""

from dataclasses import replace

import pytest

from hocbench.errors import DamageError, EvaluationError
from hocbench.experiment.description import Description, RowKey, parse_description, read_description
from hocbench.experiment.methods import with_networks
from hocbench.experiment.records import BUILT_IN, Dataset
from hocbench.experiment.spec import RunKey
from hocbench.experiment.tasks import classification
from hocbench.files.checksums import hashes_of, sealed

CONTROL = replace(BUILT_IN["sewa"], name="sewa_control", title="SEWA control", control_of="sewa")
# None of them in alphabetical order.
DATASETS = {
    each.name: each
    for each in (
        *(BUILT_IN["sewa"], BUILT_IN["affectnet"], CONTROL),
        Dataset("chats", "Chats", "chats.py:Chats", "clips", "subject", task=classification("calm", "loud")),
    )
}
DESCRIPTION = Description(
    profile="embedded",
    width=16,
    rank="0.22",
    factorization="tucker",
    ranks=("0.22", "0.1"),
    crop_size={"sewa": 48, "affectnet": 32, "sewa_control": 48, "chats": 40},
    datasets=DATASETS,
    methods=with_networks({"zebra": "zebra network", "ape": "network of apes"}),
    rows=(
        *(RowKey("sewa", "joint", "tucker", "0.22", 0.05), RowKey("chats", "zebra")),
        RowKey("sewa", "zebra", ablation="epochs-x4"),
    ),
    longer=("epochs-x4",),
)


def test_a_description_comes_back_from_its_text_as_it_was_in_the_same_order():
    found = parse_description(DESCRIPTION.text(), "--experiment")
    assert found == DESCRIPTION
    assert found.text() == DESCRIPTION.text()
    for name in ("datasets", "methods", "crop_size"):
        assert list(getattr(found, name)) == list(getattr(DESCRIPTION, name))


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "{}", DESCRIPTION.text().replace('"rank"', '"rang"'), DESCRIPTION.text()[:-9]]
)
def test_what_is_no_description_is_refused_with_its_place_and_what_to_give(text):
    with pytest.raises(EvaluationError, match=r"--experiment is no description of an experiment .*`snakemake -n -p`"):
        parse_description(text, "--experiment")


def test_a_description_is_read_from_beside_the_tables_and_refused_if_it_was_changed(tmp_path):
    with pytest.raises(EvaluationError, match=r"No meta\.json in .*Run `hocbench evaluate` first"):
        read_description(tmp_path)
    path = tmp_path / "meta.json"
    path.write_text(DESCRIPTION.text() + "\n")
    (tmp_path / "files.json").write_text(sealed({"files": hashes_of(tmp_path, ["meta.json"])}))
    assert read_description(tmp_path) == DESCRIPTION
    path.write_text(DESCRIPTION.text().replace("0.22", "0.23"))
    with pytest.raises(DamageError, match=r"meta\.json is damaged"):
        read_description(tmp_path)


def test_a_row_is_known_by_all_of_a_run_but_seed_and_fold():
    key = RunKey(dataset="sewa", method="joint", factorization="tt", rank=8, lasso=0.05, seed=3, fold=1)
    assert RowKey.of(key) == RowKey("sewa", "joint", "tt", "8", 0.05)
    # A whole number counts components and a decimal one multiplies.
    ranks = [RowKey.of(key.model_copy(update={"rank": rank})).rank for rank in (1, 1.0, "same", None)]
    assert ranks == ["1", "1.0", "same", ""]
    row = RowKey.of(key)
    assert RowKey.read(vars(row) | {"target": "valence"}) == row


def test_the_main_rows_are_of_the_main_network_or_of_none_and_of_no_ablation():
    def is_main(*axes):
        return DESCRIPTION.is_main(RowKey("sewa", "joint", *axes))

    assert is_main("tucker", "0.22") and is_main("", "") and is_main("tucker", "0.22", 0.05)
    assert not any(map(is_main, ("cp", "tucker"), ("0.22", "0.1")))
    assert not is_main("tucker", "0.22", 0.0, "clips-70") and not is_main("", "", 0.0, "clips-70")


def test_rows_are_called_by_the_title_of_their_method_in_their_factorization():
    assert DESCRIPTION.title(RowKey("sewa", "joint", "tt", "8")) == "tensor-train 3-D, temporal then joint"
    assert DESCRIPTION.title(RowKey("chats", "zebra")) == "zebra network"


def test_outputs_on_clips_without_lasso_are_averaged():
    averaged = {
        (dataset, method, lasso): DESCRIPTION.averaged(RowKey(dataset, method, "tucker", "0.22", lasso))
        for dataset in ("sewa", "affectnet")
        for method in ("static", "frames", "joint")
        for lasso in (0.0, 0.05)
    }
    assert {key: name for key, name in averaged.items() if name} == {
        ("sewa", "static", 0.0): "static_smoothed",
        ("sewa", "frames", 0.0): "frames_smoothed",
    }
