"""Metrics and studies of a model, always with real tissue beside it."""
