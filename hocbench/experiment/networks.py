"""Networks of the user's own, as parameters name them."""

import ast
from collections.abc import Mapping
from dataclasses import dataclass

from hocbench.errors import ParameterError
from hocbench.experiment.methods import FACTORIZATION_TITLES, METHODS, Method, with_networks
from hocbench.files.code import syntax_hash
from hocbench.plugins import source_of, split_place

# A network called "dense" would be that of our own dense methods too.
RESERVED = {*METHODS, *FACTORIZATION_TITLES, *(method.network for method in METHODS.values())}


@dataclass(frozen=True)
class OwnNetworks:
    """What a plan knows of them, without importing torch.

    Attributes
    ----------
    methods : dict of str to Method
        All methods, ours and one for each of them.
    sources : dict of str to str
        Hash of the syntax of the file that each is written in.
    """

    methods: dict[str, Method]
    sources: dict[str, str]


def own_networks(places: Mapping[str, str]) -> OwnNetworks:
    """Read the section ``networks``.

    Raises
    ------
    ParameterError
        If a file or module does not exist, has no such class, or the name is one of ours, or the file is no Python.
    """
    titles, sources = {}, {}
    for name, place in places.items():
        key = f"networks.{name}"
        if name in RESERVED:
            raise ParameterError(f"{key}: hocbench has a {name} of its own; give your network another name")
        module, wanted = split_place(place, key)
        content = source_of(place, key).read_bytes()
        if wanted not in _classes_of(content, key, place):
            raise ParameterError(f"{key}: {module} has no class {wanted}")
        titles[name], sources[name] = f"{wanted} from scratch", syntax_hash(content)
    return OwnNetworks(with_networks(titles), sources)


def _classes_of(content: bytes, key: str, place: str) -> set[str]:
    try:
        return {node.name for node in ast.parse(content).body if isinstance(node, ast.ClassDef)}
    except (SyntaxError, ValueError) as error:
        raise ParameterError(f"{key}: {place} cannot be read as Python ({error}); correct the file") from None
