"""Which revision of hocbench computes: commit, and whether and how its sources were changed since."""

import functools
import hashlib
import subprocess
from typing import Any

from hocbench.files.code import PACKAGE

# What can change a result. Parameters are recorded as they are.
SOURCES = ("hocbench", "workflow", "Snakefile")
UNKNOWN = {"commit": None, "dirty": None, "diff": None}
TIMEOUT_S = 20


@functools.cache
def revision() -> dict[str, Any]:
    """Ask git which revision of hocbench this is.

    Returns
    -------
    dict
        commit (40 digits), dirty (whether sources differ from it) and diff (sha256 of the difference in the words of
        git and of new files, None without one); all None for a package that lies in no clone of its own, or without
        git.
    """
    # Installed into an environment inside somebody's own repository, it is none of that repository's files.
    if _git("ls-files", "--error-unmatch", "hocbench/__init__.py") is None:
        return dict(UNKNOWN)
    commit = _git("rev-parse", "HEAD")
    changed = _git("diff", "--binary", "--no-ext-diff", "--no-textconv", "HEAD", "--", *SOURCES)
    new = _git("ls-files", "--others", "--exclude-standard", "-z", "--", *SOURCES)
    if commit is None or changed is None or new is None:
        return dict(UNKNOWN)
    digest = hashlib.sha256(changed)
    for name in sorted(filter(None, new.split(b"\0"))):
        digest.update(b"\0" + name + b"\0" + (PACKAGE.parent / name.decode(errors="surrogateescape")).read_bytes())
    dirty = bool(changed or new)
    return {"commit": commit.decode().strip(), "dirty": dirty, "diff": digest.hexdigest() if dirty else None}


def _git(*words: str) -> bytes | None:
    """Return what git says in the folder above the package, None if it fails."""
    command = ["git", "-C", str(PACKAGE.parent), *words]
    try:
        return subprocess.run(command, capture_output=True, check=True, timeout=TIMEOUT_S).stdout
    except (OSError, subprocess.SubprocessError):
        return None
