"""A small segmenter of nuclei that never met the generator: judges tissue, proposes nuclei."""
