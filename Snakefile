# From data to tables, figures and one HTML report. Every rule calls one `hocbench` command; what runs is decided by hocbench.experiment.plan.
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

from snakemake.exceptions import WorkflowError

# `.venv/bin/snakemake` without activation would otherwise find the system's python.
shell.prefix(f"export PATH={shlex.quote(os.path.dirname(sys.executable))}:$PATH; ")

from hocbench import paths
from hocbench.files.code import PACKAGE, code_hash
from hocbench.errors import HocbenchError
from hocbench.files.checksums import file_hash
from hocbench.config.load import is_rendered, merge_files, parse_params
from hocbench.experiment.plan import describe, make_plan
from hocbench.experiment.run_spec import split_protocol
from hocbench.experiment.spec import canonical_json
from hocbench.tracking.switch import is_off

try:
    # Snakemake's own `config` takes a key that stands twice, and holds text for the numbers of --config.
    VALUES = merge_files([Path("params.yaml"), *workflow.config_settings.configfiles], workflow.config_settings.config)
    PARAMS = parse_params(VALUES)
    PLAN = make_plan(PARAMS)
    is_off()  # a word that it does not know stops here, before any job
    # What is rendered or fetched need not be there yet.
    own = [dataset.root for dataset in PARAMS.datasets.values() if not is_rendered(dataset.root) and not dataset.fetch]
    missing = [root for root in own if not os.path.isdir(root)]
    if missing:
        raise HocbenchError(f"dataset folder missing: {', '.join(missing)}; put your copy there or change the root in params.yaml")
except HocbenchError as error:
    raise WorkflowError(str(error))

PROFILE = PARAMS.profile
RUNS = {run.spec.name: run for run in PLAN}
DESCRIPTION = describe(PARAMS, PLAN)
RESULTS = str(paths.results(PROFILE))
PREPARED = f"data/prepared/{PROFILE}"
EVALUATION = f"{RESULTS}/evaluation"
LOGS = f"logs/{PROFILE}"


def published(*names):
    """Hash tables of the package, which are inputs of the rules that read them."""
    return {name: file_hash(PACKAGE / "published" / name) for name in names}


def templates(*names):
    """Hash templates of the package likewise, all if none is named."""
    folder = PACKAGE / "reporting" / "html" / "templates"
    return {name: file_hash(folder / name) for name in names or sorted(path.name for path in folder.iterdir())}


wildcard_constraints:
    dataset="|".join(PARAMS.datasets),
    run=r"[\w.-]+",

include: "workflow/rules/data.smk"
include: "workflow/rules/train.smk"
include: "workflow/rules/report.smk"
include: "workflow/rules/speed.smk"

rule all:
    default_target: True
    # Runs and evaluation too: a file in the middle that was deleted is only missed where somebody asks for it.
    input:
        rules.data.input, rules.evaluate.input, rules.evaluate.output,
        rules.tables.input, rules.figures.output, rules.report.output,

# MLflow watches: a store that cannot be reached costs a warning, never a run.
onstart:
    started = subprocess.run([sys.executable, "-m", "hocbench", "mlflow", "start", PROFILE], stdout=subprocess.PIPE, text=True)
    os.environ["HOCBENCH_MLFLOW_PARENT"] = started.stdout.strip()
    os.environ["HOCBENCH_MLFLOW_WEIGHTS"] = str(int(PARAMS.tracking.weights))

onsuccess:
    subprocess.run([sys.executable, "-m", "hocbench", "mlflow", "finish", PROFILE, "--parameters", canonical_json(VALUES)])
