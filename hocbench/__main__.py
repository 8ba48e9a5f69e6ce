"""``python -m hocbench`` is the ``hocbench`` command."""

from hocbench.cli.main import main

main()
