"""Networks of the user's own, as parameters name them."""

import pytest

from hocbench.errors import ParameterError
from hocbench.experiment.methods import Method
from hocbench.experiment.networks import own_networks


@pytest.fixture
def place(tmp_path):
    """Where a class is written."""
    path = tmp_path / "own.py"
    path.write_text("class Mine:\n    pass\n")
    return f"{path}:Mine"


def test_a_network_of_ones_own_is_a_method_from_scratch_on_clips(place):
    found = own_networks({"mine": place})
    method = found.methods["mine"]
    assert list(found.methods)[-1] == "mine" and set(found.sources) == {"mine"}
    assert (method.title, method.stage, method.network, method.role) == (
        "Mine from scratch",
        "scratch",
        "mine",
        "clips",
    )
    assert not method.is_factorized and method.start is None


@pytest.mark.parametrize("name", ["static", "dense", "inflated", "2plus1d", "factorized", "cp", "tt"])
def test_names_of_ours_are_refused_so_that_no_method_of_ours_gets_another_network(place, name):
    with pytest.raises(ParameterError, match=rf"networks\.{name}: hocbench has a {name} of its own; give your network"):
        own_networks({name: place})


def test_a_file_that_is_absent_has_no_such_class_or_is_no_python_is_refused(place, tmp_path):
    for wrong in (f"{tmp_path}/other.py:Mine", "no.such.module:Mine"):
        with pytest.raises(ParameterError, match=rf"networks\.mine: '{wrong}' is not found; give FILE\.py:CLASS"):
            own_networks({"mine": wrong})
    with pytest.raises(ParameterError, match=r"networks\.mine: there is no 'Mine'; Your own is FILE\.py:CLASS"):
        own_networks({"mine": "Mine"})
    with pytest.raises(ParameterError, match=r"networks\.mine: \S+own\.py has no class Yours"):
        own_networks({"mine": place.replace("Mine", "Yours")})
    (tmp_path / "own.py").write_text("class Mine(:\n")
    with pytest.raises(ParameterError, match=r"networks\.mine: \S+ cannot be read as Python \(.*line 1.*correct the"):
        own_networks({"mine": place})


def test_the_hash_of_a_network_is_that_of_what_its_file_does(place, tmp_path):
    before = own_networks({"mine": place}).sources
    (tmp_path / "own.py").write_text('"""Words."""\n\n\nclass Mine:\n    pass  # more\n')
    assert own_networks({"mine": place}).sources == before
    (tmp_path / "own.py").write_text("class Mine:\n    size = 3\n")
    assert own_networks({"mine": place}).sources != before


def test_braces_in_a_title_of_the_user_are_kept():
    assert Method("mine", "{} with {kernel: 3}", "scratch").named("cp") == "CP with {kernel: 3}"
