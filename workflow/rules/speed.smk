# The speed benchmark; it needs a quiet machine and is not part of `all`.
rule speed:
    output:
        expand(f"{RESULTS}/speed/{{name}}", name=["speed.png", "speed.pdf", "speed.csv", "bars.csv", "speed.md"]),
    params:
        out=f"{RESULTS}/speed",
        scale=PARAMS.speed.scale,
        rounds=PARAMS.speed.rounds,
        threads=" ".join(f"--threads {count}" for count in PARAMS.speed.threads),
        code=code_hash("hocbench.bench"),
    threads: max(PARAMS.speed.threads)
    resources:
        **job_resources(PARAMS, "speed"),
    log: f"{LOGS}/speed.log"
    benchmark: f"{LOGS}/benchmark/speed.tsv"
    shell:
        "hocbench bench {params.out:q} --scale {params.scale} --rounds {params.rounds} {params.threads} > {log} 2>&1"
