"""Nuclei that the segmenter proposes for the frame, as layers and in the dock."""
