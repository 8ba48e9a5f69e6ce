"""Scores of predictions, as functions of arrays of truth and prediction and as functions of means over clusters."""
