import ast
from graphlib import TopologicalSorter

from tests.conftest import ROOT

ROOM = ROOT / "hocbench" / "nn"
MODULES = {
    ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): ast.parse(path.read_text())
    for path in ROOM.rglob("*.py")
}


def imports_of_ours(node):
    """Name the modules of the room that are imported anywhere below a node."""
    lines = [line for line in ast.walk(node) if isinstance(line, ast.ImportFrom)]
    named = [(line.module, f"{line.module}.{alias.name}") for line in lines for alias in line.names]
    return {inner if inner in MODULES else module for module, inner in named} & MODULES.keys()


def test_modules_import_each_other_in_one_direction():
    assert len(MODULES) > 20
    order = list(TopologicalSorter({name: imports_of_ours(tree) for name, tree in MODULES.items()}).static_order())
    assert order.index("hocbench.nn.kernel") < order.index("hocbench.nn.factorized") < order.index("hocbench.nn.layers")


def test_no_import_is_hidden_in_a_function_or_from_the_interpreter():
    for name, tree in MODULES.items():
        functions = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)]
        assert not set().union(*map(imports_of_ours, functions)), name
        assert "TYPE_CHECKING" not in {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}, name


def test_what_works_on_one_layer_imports_nothing_that_works_on_networks():
    layer = {"kernel", "factorized", "decomposition", "tltorch_exchange", "implementation", "special_cases"}
    networks = {"layers", "resnet", "cost", "compaction", "conversion", "transduction", "folding", "lasso"}
    networks |= {"network_factorization"}
    for name in layer:
        assert not imports_of_ours(MODULES[f"hocbench.nn.{name}"]) & {f"hocbench.nn.{other}" for other in networks}
