"""Tidy tables of scores, intervals and paired differences, from run directories alone (no torch)."""
