# Datasets on disk -> frame index -> crops.
ROOTS = {dataset.root: name for name, dataset in PARAMS.datasets}


def settings(wildcards):
    return getattr(PARAMS.datasets, wildcards.dataset)


def marker(wildcards):
    """Return what says that a rendered dataset is complete; a real one is taken as it is."""
    root = settings(wildcards).root
    return [f"{root}/SYNTHETIC.json"] if is_rendered(root) else []


rule synthesize:
    output: "data/synthetic/{folder}/SYNTHETIC.json"
    params:
        name=lambda w: ROOTS[f"data/synthetic/{w.folder}"],
        root=lambda w: f"data/synthetic/{w.folder}",
        parameters=lambda w: canonical_json(getattr(PARAMS.datasets, ROOTS[f"data/synthetic/{w.folder}"]).synthetic.model_dump()),
        code=code_hash("hocbench.synthetic"),
    log: f"{LOGS}/synthesize/{{folder}}.log"
    benchmark: f"{LOGS}/benchmark/synthesize/{{folder}}.tsv"
    shell: "hocbench synthesize {params.name} {params.root:q} --parameters {params.parameters:q} > {log} 2>&1"


rule index:
    input: marker
    output:
        f"{PREPARED}/{{dataset}}/index.parquet",
        f"{PREPARED}/{{dataset}}/index.json",
    params:
        root=lambda w: settings(w).root,
        out=f"{PREPARED}/{{dataset}}",
        code=code_hash("hocbench.datasets"),
    log: f"{LOGS}/index/{{dataset}}.log"
    benchmark: f"{LOGS}/benchmark/index/{{dataset}}.tsv"
    shell: "hocbench index {wildcards.dataset} {params.root:q} {params.out:q} > {log} 2>&1"


rule crop:
    input:
        rules.index.output,
        marker,
    output: [f"{PREPARED}/{{dataset}}/{name}" for name in paths.DATA_FILES]
    params:
        root=lambda w: settings(w).root,
        out=f"{PREPARED}/{{dataset}}",
        crop=lambda w: settings(w).crop,
        code=code_hash("hocbench.faces"),
    log: f"{LOGS}/crop/{{dataset}}.log"
    benchmark: f"{LOGS}/benchmark/crop/{{dataset}}.tsv"
    shell:
        "hocbench crop {params.out:q} {params.root:q} --size {params.crop.size} --margin {params.crop.margin} "
        "--method {params.crop.method} > {log} 2>&1"


rule data:
    input: expand(f"{PREPARED}/{{dataset}}/crops.json", dataset=list(type(PARAMS.datasets).model_fields))
