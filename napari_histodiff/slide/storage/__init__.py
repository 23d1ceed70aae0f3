"""The files of a slide: chunks, table of tiles, journal, transactions, OME-Zarr metadata."""
