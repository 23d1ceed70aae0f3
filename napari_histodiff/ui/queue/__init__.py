"""Edits that wait for each other: their order, how they are drawn, and where they are shown."""
