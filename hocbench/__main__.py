"""``python -m hocbench`` is the ``hocbench`` command."""

from hocbench.cli import main

main()
