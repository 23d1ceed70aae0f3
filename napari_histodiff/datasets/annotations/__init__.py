"""Outlines that other programs write, object by object: GeoJSON in a stream, XML."""
