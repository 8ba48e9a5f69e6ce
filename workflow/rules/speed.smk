# The speed benchmark; it needs a quiet machine and is not part of `all`.
rule speed:
    output:
        expand(f"{RESULTS}/speed/{{name}}", name=["bars.csv", *(f"speed.{kind}" for kind in ("png", "pdf", "csv", "md", "html", "json"))]),
    params:
        out=f"{RESULTS}/speed",
        scale=PARAMS.speed.scale,
        rounds=PARAMS.speed.rounds,
        threads=" ".join(f"--threads {count}" for count in PARAMS.speed.threads),
        bars=file_hash(PACKAGE.parent / "studies" / "speed" / "bars.csv"),
        code=code_hash("studies.speed.run"),
    threads: max(PARAMS.speed.threads)
    resources:
        **job_resources(PARAMS, "speed"),
    log: f"{LOGS}/speed.log"
    benchmark: f"{LOGS}/benchmark/speed.tsv"
    shell:
        "python -m studies speed {params.out:q} --scale {params.scale} --rounds {params.rounds} {params.threads} > {log} 2>&1"
