"""The model: network, pipeline, samplers, staggered windows and training. Needs torch."""

from napari_histodiff.core.torch_start import load_triton_apart

load_triton_apart()  # before anything here loads torch
