# One rule for every stage: the run's slice says what it does and which run it starts from.
from hocbench.experiment.jobs import forward_signals

# In a SLURM job, Snakemake is what is told that the time is over.
forward_signals()


# No parameter either: a folder that was moved reruns nothing, and what its files do is part of the ids of runs.
NETWORKS = canonical_json(PARAMS.networks)


def run_of(wildcards):
    return RUNS[f"{wildcards.dataset}/{wildcards.run}"]


def directory_of(run):
    return str(paths.run(PROFILE, run.key.dataset, run.id))


def parent_files(wildcards):
    parent = run_of(wildcards).parent
    return [f"{directory_of(parent)}/manifest.json"] if parent else []


rule fit:
    input:
        parent=parent_files,
        crops=[f"{PREPARED}/{{dataset}}/{name}" for name in paths.DATA_FILES],
    output: [f"{RESULTS}/runs/{{dataset}}/{{run}}/{name}" for name in paths.RUN_FILES]
    params:
        spec=lambda w: run_of(w).spec.text(),
        out=f"{RESULTS}/runs/{{dataset}}/{{run}}",
        crops=f"{PREPARED}/{{dataset}}",
        parent=lambda w, input: f"--parent {shlex.quote(os.path.dirname(input.parent[0]))}" if input.parent else "",
        code=code_hash("hocbench.training.stages"),
    threads: PARAMS.threads * PARAMS.processes
    resources:
        **job_resources(PARAMS, "fit"),
        # A resource and no parameter: another number of workers reruns nothing.
        loaders=PARAMS.workers,
        attempt=lambda w, attempt: attempt,
    log: f"{LOGS}/fit/{{dataset}}/{{run}}.log"
    benchmark: f"{LOGS}/benchmark/fit/{{dataset}}/{{run}}.tsv"
    # exec: a signal that ends the job must find the training, not a shell around it.
    shell:
        "exec hocbench fit {params.out:q} --spec {params.spec:q} --crops {params.crops:q} {params.parent} "
        "--networks {NETWORKS:q} --workers {resources.loaders} --checkpoint-minutes {PARAMS.checkpoint_minutes} --attempt {resources.attempt} --keep-checkpoint "
        ">> {log} 2>&1"
