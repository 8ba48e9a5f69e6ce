"""The switch of tracking."""

import os

from hocbench.errors import TrackingError

ON, OFF = ("on", "true", "yes", "1"), ("off", "false", "no", "0")


def is_off() -> bool:
    """Whether ``HOCBENCH_TRACKING`` switches tracking off; unset or empty is on.

    Raises
    ------
    TrackingError
        If its word means neither, since what is sent cannot be taken back.
    """
    word = os.environ.get("HOCBENCH_TRACKING", "").strip()
    if word and word.lower() not in ON + OFF:
        raise TrackingError(f"HOCBENCH_TRACKING={word}: give one of {', '.join(ON + OFF)}")
    return word.lower() in OFF
