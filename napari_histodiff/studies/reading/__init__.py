"""Reader studies: people tell drawn from real tissue, in a browser or in napari."""
