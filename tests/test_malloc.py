import subprocess
import sys

PROBE = """
import resource, sys, torch
from hocbench.malloc import keep_freed_memory

torch.set_num_threads(1)
if sys.argv[1] == "keep":
    assert keep_freed_memory()

def step():
    torch.ones(64 * 2**20 // 4)

# The heap needs a few rounds to find its final shape.
for _ in range(20):
    step()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(20):
    step()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def faults(mode: str) -> int:
    done = subprocess.run([sys.executable, "-c", PROBE, mode], capture_output=True, text=True, check=True)
    return int(done.stdout)


def test_a_tensor_that_is_made_again_costs_no_page_faults():
    plain, kept = faults("plain"), faults("keep")
    assert plain > 100
    assert kept < plain / 20
