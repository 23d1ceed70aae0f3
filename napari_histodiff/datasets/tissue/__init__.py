"""Tissue maps in files, pictures or annotated regions, and rules that tell a tissue."""
