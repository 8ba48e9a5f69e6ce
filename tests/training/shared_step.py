"""Trains in float64 with frozen BatchNorm and writes what came out; run once by itself and once per rank."""

import json
import os
import sys
from pathlib import Path

import torch
from safetensors.torch import save_file

from hocbench.nn import ResNet, resnet18
from hocbench.training.data import window_shape
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


def main(folder, out, order, options):
    rank = int(os.environ.get("RANK", 0))
    torch.manual_seed(0)
    torch.set_num_threads(1)
    network = resnet18(order=order, width=4, rank=0.3, stem="small").double()
    network.__class__ = Frozen
    accelerator = make_accelerator(int(os.environ.get("WORLD_SIZE", 1)))
    samples = whole(write_store(folder / f"rank{rank}", [10] * 12))
    setting = Setting("static-1234", options, order, 7, {}, options["lasso"])
    training = Training(network, samples, samples, setting, accelerator)
    training.run()
    frames = predict(network, samples, order, window_shape(order, options)[0], accelerator.device)
    if rank == 0:
        save_file(network.state_dict(), out.with_suffix(".safetensors"))
        outcome = {"history": training.outcome.history, "samples": training.outcome.samples, "frames": frames.tolist()}
        out.with_suffix(".json").write_text(json.dumps(outcome))


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]), json.loads(sys.argv[4]))
