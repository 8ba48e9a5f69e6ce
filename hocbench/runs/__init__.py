"""Run directories: what a run was, what it wrote, and how two of them differ (no torch)."""
