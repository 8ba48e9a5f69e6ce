# Datasets on disk (the user's own, fetched, or rendered) -> check -> frame index -> crops, splits, a page to look at.
from hocbench.datasets.adapters import adapter_module
from hocbench.experiment.jobs import job_resources

ROOTS = {dataset.root: name for name, dataset in PARAMS.datasets.items()}


def settings(wildcards):
    return PARAMS.datasets[wildcards.dataset]


def marker(wildcards):
    """Return what says that a rendered or fetched dataset is complete; the user's own folder is taken as it is."""
    dataset = settings(wildcards)
    if is_rendered(dataset.root):
        return [f"{dataset.root}/SYNTHETIC.json"]
    return [f"{dataset.root}/FETCHED.json"] if dataset.fetch else []


def layout(name):
    """Return what reads a dataset: an adapter of ours, or the user's own."""
    return PARAMS.datasets[name].adapter


def addresses(wildcards):
    """Spell out what is fetched into a root."""
    wanted = PARAMS.datasets[ROOTS[wildcards.root]].fetch
    return " ".join(f"--url {shlex.quote(each.url + (f'#sha256={each.sha256}' if each.sha256 else ''))}" for each in wanted)


def left_out(wildcards):
    """Spell out which clips are not read."""
    return " ".join(f"--exclude={shlex.quote(name)}" for name in settings(wildcards).exclude)


rule synthesize:
    output: "data/synthetic/{folder}/SYNTHETIC.json"
    params:
        name=lambda w: layout(ROOTS[f"data/synthetic/{w.folder}"]),
        root=lambda w: f"data/synthetic/{w.folder}",
        parameters=lambda w: canonical_json(PARAMS.datasets[ROOTS[f"data/synthetic/{w.folder}"]].synthetic.model_dump()),
        code=code_hash("hocbench.synthetic"),
    resources: **job_resources(PARAMS, "synthesize")
    log: f"{LOGS}/synthesize/{{folder}}.log"
    benchmark: f"{LOGS}/benchmark/synthesize/{{folder}}.tsv"
    shell: "hocbench synthesize {params.name} {params.root:q} --parameters {params.parameters:q} > {log} 2>&1"


# Not marked as an output folder: Snakemake would delete what is there already, and a fetch goes on from it.
rule fetch:
    output: "{root}/FETCHED.json"
    wildcard_constraints: root="|".join(re.escape(d.root) for d in PARAMS.datasets.values() if d.fetch) or "nothing"
    params: urls=addresses
    resources: **job_resources(PARAMS, "fetch")
    log: f"{LOGS}/fetch/{{root}}.log"
    shell: "hocbench data fetch {wildcards.root:q} {params.urls} > {log} 2>&1"


# After a change to your own copy: snakemake --forcerun check
rule check:
    input: marker
    output: [f"{PREPARED}/{{dataset}}/{name}" for name in paths.CHECK_FILES]
    params:
        layout=lambda w: layout(w.dataset),
        root=lambda w: settings(w).root,
        out=f"{PREPARED}/{{dataset}}",
        exclude=left_out,
        # Snakemake deletes the outputs of a job that fails; what is wrong with a copy has to stay.
        report=f"{LOGS}/check/{{dataset}}",
        code=lambda w: code_hash("hocbench.datasets.check", "hocbench.datasets.index", adapter_module(layout(w.dataset))),
    threads: PARAMS.threads
    resources: **job_resources(PARAMS, "check")
    log: f"{LOGS}/check/{{dataset}}.log"
    benchmark: f"{LOGS}/benchmark/check/{{dataset}}.tsv"
    shell:
        "hocbench data check {params.layout} {params.root:q} --out {params.report:q} --workers {threads} {params.exclude} "
        "> {log} 2>&1 && "
        "cp {params.report:q}/check.json {params.report:q}/check.txt {params.out:q}"


rule index:
    input:
        marker,
        rules.check.output,
    output:
        f"{PREPARED}/{{dataset}}/index.parquet",
        f"{PREPARED}/{{dataset}}/index.json",
    params:
        layout=lambda w: layout(w.dataset),
        root=lambda w: settings(w).root,
        out=f"{PREPARED}/{{dataset}}",
        exclude=left_out,
        code=lambda w: code_hash("hocbench.datasets.index", adapter_module(layout(w.dataset))),
    resources: **job_resources(PARAMS, "index")
    log: f"{LOGS}/index/{{dataset}}.log"
    benchmark: f"{LOGS}/benchmark/index/{{dataset}}.tsv"
    shell: "hocbench index {params.layout} {params.root:q} {params.out:q} {params.exclude} > {log} 2>&1"


rule crop:
    input:
        rules.index.output,
        marker,
    output: [f"{PREPARED}/{{dataset}}/{name}" for name in paths.DATA_FILES]
    params:
        root=lambda w: settings(w).root,
        out=f"{PREPARED}/{{dataset}}",
        crop=lambda w: settings(w).crop,
        code=code_hash("hocbench.faces.crops"),
    threads: PARAMS.threads
    resources: **job_resources(PARAMS, "crop")
    log: f"{LOGS}/crop/{{dataset}}.log"
    benchmark: f"{LOGS}/benchmark/crop/{{dataset}}.tsv"
    shell:
        "hocbench crop {params.out:q} {params.root:q} --size {params.crop.size} --margin {params.crop.margin} "
        "--method {params.crop.method} --detector {params.crop.detector} --store {params.crop.store} "
        "--workers {threads} > {log} 2>&1"


rule splits:
    input: rules.index.output
    output: [f"{PREPARED}/{{dataset}}/{name}" for name in paths.SPLIT_FILES]
    params:
        out=f"{PREPARED}/{{dataset}}",
        split=lambda w: canonical_json(split_protocol(settings(w))),
        seed=PARAMS.seed,
        code=code_hash("hocbench.datasets.splits", "hocbench.datasets.prepared"),
    resources: **job_resources(PARAMS, "splits")
    log: f"{LOGS}/splits/{{dataset}}.log"
    shell: "hocbench data splits {params.out:q} --split {params.split:q} --seed {params.seed} > {log} 2>&1"


# Beside the crops and not among the results: of real data it shows faces.
rule montage:
    input: rules.crop.output
    output: f"{PREPARED}/{{dataset}}/montage.png"
    params:
        out=f"{PREPARED}/{{dataset}}",
        code=code_hash("hocbench.reporting.montage"),
    resources: **job_resources(PARAMS, "montage")
    log: f"{LOGS}/montage/{{dataset}}.log"
    shell: "hocbench data montage {params.out:q} > {log} 2>&1"


# What tells another machine whether its data are the same; of real data nothing but hashes leaves their folder.
rule hashes:
    input:
        expand(
            f"{PREPARED}/{{dataset}}/{{name}}",
            dataset=list(PARAMS.datasets),
            name=["index.json", *paths.DATA_FILES, *paths.CHECK_FILES, *paths.SPLIT_FILES],
        ),
        [f"{root}/SYNTHETIC.json" for root in ROOTS if is_rendered(root)],
    output: str(paths.data_hashes(PROFILE))
    params:
        prepared=[f"{PREPARED}/{name}" for name in PARAMS.datasets],
        rendered=canonical_json({name: root for root, name in ROOTS.items() if is_rendered(root)}),
        code=code_hash("hocbench.datasets.hashes"),
    resources: **job_resources(PARAMS, "hashes")
    log: f"{LOGS}/hashes.log"
    benchmark: f"{LOGS}/benchmark/hashes.tsv"
    shell: "hocbench data hashes {output:q} {params.prepared:q} --rendered {params.rendered:q} > {log} 2>&1"


rule data:
    input:
        rules.hashes.output,
        expand(
            f"{PREPARED}/{{dataset}}/{{name}}",
            dataset=list(PARAMS.datasets),
            name=["index.json", "crops.json", "montage.png", *paths.CHECK_FILES, *paths.SPLIT_FILES],
        ),
