# Run directories -> scores -> tables, figures, one HTML file.
rule evaluate:
    input: [f"{RESULTS}/runs/{key}/manifest.json" for key in RUNS]
    output: [f"{EVALUATION}/{name}" for name in paths.EVALUATION_FILES]
    params:
        runs=[f"{RESULTS}/runs/{key}" for key in RUNS],
        experiment=DESCRIPTION.text(),
        windows=canonical_json(PARAMS.evaluation.smoothing_windows),
        replicates=PARAMS.evaluation.replicates,
        seed=PARAMS.seed,
        code=code_hash("hocbench.evaluation.scores"),
    resources: **job_resources(PARAMS, "evaluate")
    log: f"{LOGS}/evaluate.log"
    benchmark: f"{LOGS}/benchmark/evaluate.tsv"
    shell:
        "hocbench evaluate {EVALUATION} {params.runs:q} --replicates {params.replicates} --seed {params.seed} "
        "--windows {params.windows:q} --experiment {params.experiment:q} > {log} 2>&1"


rule table:
    input: rules.evaluate.output
    output: [f"{RESULTS}/tables/{name}" for name in paths.table_files(paths.result_tables(DESCRIPTION.datasets.values()))]
    params:
        published=published("layout.csv", "results.csv"),
        templates=templates("page.html", "macros.html"),
        code=code_hash("hocbench.reporting.tables"),
    resources: **job_resources(PARAMS, "table")
    log: f"{LOGS}/tables.log"
    benchmark: f"{LOGS}/benchmark/tables.tsv"
    shell:
        "hocbench tables {EVALUATION} {RESULTS}/tables > {log} 2>&1"


# Apart from the tables of results, because it builds networks and so has to load torch.
rule counts:
    input: rules.evaluate.output
    output: [f"{RESULTS}/tables/{name}" for name in paths.table_files(paths.COUNT_TABLES)]
    params:
        published=published("layout.csv", "parameters.csv"),
        templates=templates("page.html", "macros.html"),
        code=code_hash("hocbench.network_tables.write"),
    resources: **job_resources(PARAMS, "counts")
    log: f"{LOGS}/counts.log"
    benchmark: f"{LOGS}/benchmark/counts.tsv"
    shell: "hocbench counts {EVALUATION} {RESULTS}/tables > {log} 2>&1"


rule claims:
    input:
        rules.evaluate.output,
        [f"{RESULTS}/tables/{name}.json" for name in paths.COUNT_TABLES],
    output: [f"{RESULTS}/claims/{name}" for name in paths.CLAIM_FILES]
    params:
        published=published("claims.yaml", "parameters.csv", "results.csv"),
        templates=templates("page.html", "macros.html"),
        code=code_hash("hocbench.reporting.claims"),
    resources: **job_resources(PARAMS, "claims")
    log: f"{LOGS}/claims.log"
    benchmark: f"{LOGS}/benchmark/claims.tsv"
    shell: "hocbench claims {EVALUATION} {RESULTS}/tables {RESULTS}/claims > {log} 2>&1"


# In one job: each of them is drawn faster than its libraries are loaded.
rule figures:
    input: rules.evaluate.output
    output: expand(f"{RESULTS}/figures/{{name}}.{{kind}}", name=paths.FIGURES, kind=paths.FIGURE_FILES)
    params: code=code_hash("hocbench.reporting.figures")
    resources: **job_resources(PARAMS, "figures")
    log: f"{LOGS}/figures.log"
    benchmark: f"{LOGS}/benchmark/figures.tsv"
    shell: "hocbench figures {EVALUATION} {RESULTS}/figures > {log} 2>&1"


rule tables:
    input: expand(f"{RESULTS}/tables/{{name}}", name=paths.table_files(paths.all_tables(DESCRIPTION.datasets.values())))


# What others have sent, if anything; each of these files holds the hashes of the tables beside it.
REFERENCE = paths.results("reference")
LABORATORIES = [path for kind in ("", "laboratories/*/") for path in sorted(REFERENCE.glob(f"{kind}manifests.json"))]


# It is told all runs of the plan, so that none can be missing without being named.
rule report:
    input:
        rules.evaluate.input,
        rules.evaluate.output,
        rules.tables.input,
        rules.figures.output,
        rules.claims.output,
        rules.data.input,
    output: f"{RESULTS}/report.html"
    params:
        runs=sorted(RUNS),
        published=published("claims.yaml", "datasets.csv", "parameters.csv", "results.csv"),
        laboratories={str(path): file_hash(path) for path in LABORATORIES},
        templates=templates(),
        code=code_hash("hocbench.reporting.html.write"),
    resources: **job_resources(PARAMS, "report")
    log: f"{LOGS}/report.log"
    benchmark: f"{LOGS}/benchmark/report.tsv"
    shell:
        "hocbench report {RESULTS} {output} {params.runs:q} --prepared {PREPARED} --logs {LOGS} "
        "--reference {REFERENCE} > {log} 2>&1"
