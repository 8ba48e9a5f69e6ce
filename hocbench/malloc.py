"""Memory that was freed stays with the process, so that the next tensor does not have to be zeroed by the kernel."""

import ctypes
import ctypes.util

# Numbers of the parameters in glibc's malloc.h; see mallopt(3).
M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3
LARGEST_KEPT_BYTES = 2**30
NEVER = 2**31 - 1


def keep_freed_memory() -> bool:
    """Make the C library keep what is freed for the next request; return whether it does.

    By default glibc maps every large tensor and gives it back when it is freed, so that each step of training pays a
    page fault and a zeroed page for every 4 KiB of every activation. The memory of a process then stays at its peak
    until it ends, which is what a training step needs again anyway. Other C libraries have no such setting.
    """
    name = ctypes.util.find_library("c")
    try:
        mallopt = ctypes.CDLL(name).mallopt if name else None
    except (OSError, AttributeError):
        mallopt = None
    if mallopt is None:
        return False
    # The threshold for mapping comes first: setting either one stops glibc from moving both by itself.
    done = mallopt(M_MMAP_THRESHOLD, LARGEST_KEPT_BYTES)
    return bool(done and mallopt(M_TRIM_THRESHOLD, NEVER))
