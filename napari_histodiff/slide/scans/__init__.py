"""Scanned slides, read and never written: SVS, NDPI, MRXS, DICOM, TIFF, OME-Zarr, pictures."""
