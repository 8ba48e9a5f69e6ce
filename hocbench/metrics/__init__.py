"""Scores of predictions, as functions of arrays of truth and prediction."""
