"""Slides on disk: reading, writing, exporting."""
