"""What the hand does on the paint layers beyond napari's own tools."""
