"""The only place with napari and Qt: layers, the dock, and the controller between them."""
