"""The speed benchmark: layers, networks, stages and memory against others, and the bars they have to clear."""
