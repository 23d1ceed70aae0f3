"""Tiles drawn while one looks: what a view needs, in which order, and how far it is."""
