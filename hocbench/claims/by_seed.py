"""How the verdicts move over training seeds: each claim judged by one seed at a time."""

import pandas as pd

from hocbench.claims.evidence import evidence_table
from hocbench.claims.results import Results
from hocbench.claims.schema import Claims
from hocbench.claims.verdicts import verdict_table

ONE_SEED, NO_SEEDS = "one seed only", ""


def by_seed(claims: Claims, results: Results, verdicts: pd.DataFrame) -> list[str]:
    """Judge each claim as if one training seed alone had been run, and one were enough.

    Returns
    -------
    list of str
        For each row of the verdicts, from `hocbench.claims.verdicts.verdict_table`: ``0: inconclusive; 1: ...`` by
        seed, `ONE_SEED` where no other was run, or `NO_SEEDS` where nothing was trained.
    """
    enough = claims.model_copy(update={"seeds_needed": 1})
    seeds = {dataset: results.seeds(dataset) for dataset in verdicts["dataset"].unique()}
    alone = {
        seed: verdict_table(enough, evidence_table(enough, results.of_seed(seed)))
        for seed in sorted({seed for several in seeds.values() if len(several) > 1 for seed in several})
    }
    texts = []
    for place, dataset in enumerate(verdicts["dataset"]):
        trained = seeds[dataset]
        # Every table has a row per claim and data set, in the same order.
        parts = [f"{seed}: {alone[seed]['verdict'].iloc[place]}" for seed in trained if len(trained) > 1]
        texts.append("; ".join(parts) or (ONE_SEED if trained else NO_SEEDS))
    return texts
