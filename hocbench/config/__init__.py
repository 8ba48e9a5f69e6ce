"""``params.yaml`` and its overlays: every key with its type, range and description."""
