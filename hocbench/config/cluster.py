"""The section ``cluster`` of ``params.yaml``: what jobs ask a cluster for."""

from typing import Annotated

from pydantic import Field

from hocbench.config.base import Count, Section


class JobRequest(Section):
    """What the jobs of one rule ask a cluster for."""

    partition: str | None = Field(default=None, description="None: cluster.partition")
    minutes: Count | None = Field(default=None, description="time limit; None: cluster.minutes")
    memory_mb: Count | None = Field(default=None, description="of the first attempt; None: cluster.memory_mb")


class CropRequest(JobRequest):
    """Cropping keeps many decoded frames."""

    memory_mb: Count | None = Field(default=32000, description="of the first attempt; None: cluster.memory_mb")


class FitRequest(CropRequest):
    """A training lasts longest."""

    minutes: Count | None = Field(default=1440, description="time limit; None: cluster.minutes")


class RuleRequests(Section):
    """Rules that ask for something else than the others."""

    synthesize: JobRequest = JobRequest()
    fetch: JobRequest = JobRequest()
    check: JobRequest = JobRequest()
    index: JobRequest = JobRequest()
    crop: CropRequest = CropRequest()
    splits: JobRequest = JobRequest()
    hashes: JobRequest = JobRequest()
    montage: JobRequest = JobRequest()
    fit: FitRequest = FitRequest()
    evaluate: JobRequest = JobRequest()
    table: JobRequest = JobRequest()
    counts: JobRequest = JobRequest()
    claims: JobRequest = JobRequest()
    figures: JobRequest = JobRequest()
    report: JobRequest = JobRequest()
    speed: JobRequest = JobRequest()


class Cluster(Section):
    """What jobs ask for on a cluster; no result depends on it."""

    partition: str = Field(default="", description="empty: the cluster's default")
    account: str = Field(default="", description="empty: the cluster's default")
    minutes: Count = Field(default=240, description="time limit of a job")
    memory_mb: Count = Field(default=8000, description="of the first attempt; attempt n gets n times as much")
    gpus: bool = Field(default=True, description="whether each process of a training asks for a GPU")
    gpu_model: str = Field(default="", description="the cluster's name of a kind of GPU; empty: any")
    notice_s: Annotated[int, Field(ge=0)] = Field(
        default=120, description="a training is asked to save itself this long before its time limit"
    )
    rules: RuleRequests = RuleRequests()
