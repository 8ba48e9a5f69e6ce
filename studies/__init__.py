"""Studies about hocbench itself, beside the product: how fast it is, and whether its intervals can be trusted."""
