"""The model: network, pipeline, samplers, staggered windows and training. Needs torch."""
