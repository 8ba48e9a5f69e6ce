"""How often intervals hold the true score, on simulated test sets."""
