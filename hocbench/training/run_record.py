"""What is written down about a run beside its results: what it was, and what it cost."""

import resource
import time
from pathlib import Path
from typing import Any

import torch

from hocbench.experiment.spec import RunSpec
from hocbench.files.checksums import file_hash
from hocbench.files.code import code_hash, module_hashes
from hocbench.nn import multiply_adds, parameter_count
from hocbench.runs.environment import environment
from hocbench.runs.revision import revision
from hocbench.training.devices import add_up
from hocbench.training.loop import Training
from hocbench.training.samples import Samples


def identity(spec: RunSpec, crops: Path, parent: Path | None) -> dict[str, Any]:
    """Tell what a run is made of: parameters, code, data, network to start from.

    Parameters
    ----------
    spec : RunSpec
        What the run is told.
    crops : Path
        Folder of the crop store.
    parent : Path or None
        Run directory of the network to start from.
    """
    inputs: dict[str, Any] = {name: file_hash(crops / name) for name in ("crops.json", "frames.parquet")}
    inputs |= {
        "parent": spec.parent,
        "parent_weights": _hash_if_there(parent / "weights.safetensors") if parent else None,
    }
    return {
        "run": spec.run,
        "parameters": spec.model_dump(mode="json", exclude={"run"}),
        "code": code_hash("hocbench.training.stages"),
        "inputs": inputs,
        "torch": str(torch.__version__),
    }


def _hash_if_there(path: Path) -> str | None:
    return file_hash(path) if path.is_file() else None


class Spent:
    """What all tries of a run have cost together, as far as a checkpoint tells.

    Parameters
    ----------
    before : dict or None
        What `as_dict` returned when the run was saved last.
    """

    def __init__(self, before: dict[str, Any] | None) -> None:
        before = before or {}
        self.attempts: int = before.get("attempts", 0) + 1
        self._cpu_s: float = before.get("cpu_s", 0.0)
        self._memory_mib: float = before.get("memory_mib", 0.0)
        self._gpu_memory_mib: float = before.get("gpu_memory_mib", 0.0)
        processor = environment()["processor"]
        self.processors: list[str] = sorted({*before.get("processors", []), processor})
        self._started = time.process_time()

    def as_dict(self) -> dict[str, Any]:
        """Return seconds of CPU time, peaks of memory in MiB, tries, and processors."""
        used = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        on_gpu = torch.cuda.max_memory_allocated() / 2**20 if torch.cuda.is_available() else 0.0
        return {
            "attempts": self.attempts,
            "cpu_s": self._cpu_s + time.process_time() - self._started,
            "memory_mib": max(self._memory_mib, used),
            "gpu_memory_mib": max(self._gpu_memory_mib, on_gpu),
            "processors": self.processors,
        }


def cost(training: Training, spec: RunSpec, size: int, spent: Spent) -> dict[str, Any]:
    """Add up what a run cost: seconds of all processes and tries, memory of the first process."""
    network, accelerator, outcome = training.network, training.accelerator, training.outcome
    used = spent.as_dict()
    cpu = add_up(torch.tensor([used["cpu_s"]], dtype=torch.float64, device=accelerator.device)).item()
    on_gpu = accelerator.device.type == "cuda"
    time = (spec.clip_length,) if spec.order == 3 else ()
    return {
        "parameters": parameter_count(network),
        "multiply_adds": multiply_adds(network, (1, 3, *time, size, size)) // spec.clip_length,
        "training_cpu_s": cpu,
        "gpu_s": outcome.wall_s * accelerator.num_processes if on_gpu else 0.0,
        "wall_s": outcome.wall_s,
        "waiting_s": outcome.waiting_s,
        "steps_s": outcome.steps_s,
        "peak_memory_mib": used["memory_mib"],
        "peak_gpu_memory_mib": used["gpu_memory_mib"],
        "samples": outcome.samples,
        "samples_per_s": outcome.samples / outcome.steps_s if outcome.steps_s else 0.0,
        "epochs": outcome.history[-1]["epoch"],
    }


def manifest(
    known: dict[str, Any],
    spec: RunSpec,
    label: str,
    parts: dict[str, Samples],
    training: Training,
    spent: Spent,
) -> dict[str, Any]:
    """Write down what a run was; see `hocbench.runs.environment`.

    Parameters
    ----------
    known : dict
        See `identity`.
    spec, label : RunSpec, str
        What the run is told, and "synthetic" or "real".
    parts : dict
        Part → samples.
    training, spent : Training, Spent
        What became of it.
    """
    accelerator = training.accelerator
    return {
        "run": spec.run,
        "spec": spec.model_dump(mode="json"),
        "label": label,
        "recovered_epoch": training.outcome.recovered_epoch,
        "inputs": known["inputs"],
        "code": known["code"],
        "sources": module_hashes("hocbench.training.stages"),
        "revision": revision(),
        "environment": environment(),
        "device": str(accelerator.device),
        "threads": torch.get_num_threads(),
        "processes": accelerator.num_processes,
        "batch": _batch(training),
        "paths": {name: ", ".join(taken) for name, taken in training.outcome.paths.items()},
        "attempts": spent.attempts,
        "processors": spent.processors,
        "deterministic": torch.are_deterministic_algorithms_enabled(),
        "frames": {part: len(samples.rows) for part, samples in parts.items()},
        "frames_without_crop": {part: len(samples.lost) for part, samples in parts.items()},
    }


def _batch(training: Training) -> dict[str, Any] | None:
    """Tell what batches the steps took; None if there were no steps."""
    part, processes = training.outcome.part, training.accelerator.num_processes
    if not part or training.steps is None:
        return None
    return {
        "size": part * training.steps.spec.accumulation,
        "part": part,
        "batchnorm": f"statistics over {part // processes} samples of one process",
        "loss": f"one statistic over {part} samples of all processes",
    }
