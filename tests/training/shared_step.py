"""Trains in float64 with frozen BatchNorm and writes what came out; run once by itself and once per rank."""

import json
import os
import sys
from dataclasses import replace
from pathlib import Path

import torch
from safetensors.torch import save_file

from hocbench.experiment.spec import RunSpec
from hocbench.nn import ResNet, resnet18
from hocbench.training.devices import make_accelerator
from hocbench.training.loop import Setting, Training
from hocbench.training.predict import predict
from tests.training.conftest import whole, write_store


class Frozen(ResNet):
    """Computes in float64, with the statistics that BatchNorm has."""

    def train(self, mode=True):
        return super().train(False)

    def forward(self, x):
        return super().forward(x.double())


def main(folder, out, spec):
    rank = int(os.environ.get("RANK", 0))
    torch.manual_seed(0)
    torch.set_num_threads(1)
    network = resnet18(order=spec.order, width=4, rank=0.3, stem="small").double()
    network.__class__ = Frozen
    accelerator = make_accelerator(int(os.environ.get("WORLD_SIZE", 1)))
    samples = replace(whole(write_store(folder / f"rank{rank}", [10] * 12)), task=spec.task)
    if spec.task.classes:
        number = samples.store.frames["clip"].str[1:].astype(int)
        samples.store.frames["class"] = number.mod(2).map(dict(enumerate(spec.task.classes)))
    training = Training(network, samples, samples, Setting(spec), accelerator)
    training.run()
    frames = predict(network, samples, spec.order, spec.clip_length, accelerator.device)
    if rank == 0:
        save_file(network.state_dict(), out.with_suffix(".safetensors"))
        outcome = {"history": training.outcome.history, "samples": training.outcome.samples, "frames": frames.tolist()}
        out.with_suffix(".json").write_text(json.dumps(outcome))


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), RunSpec.model_validate_json(sys.argv[3]))
