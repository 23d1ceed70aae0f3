"""Annotated images on disk, and the training files packed from them."""
