"""A small segmenter of nuclei that never met the generator: judges tissue, proposes nuclei."""

from napari_histodiff.core.torch_start import load_triton_apart

load_triton_apart()  # before anything here loads torch
