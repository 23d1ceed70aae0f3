"""The first minutes: a welcome, samples made on the spot, and napari's preferences for us."""
