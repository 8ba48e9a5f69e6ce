"""The report: one HTML file that holds everything there is to read about a profile, and needs nothing else."""
