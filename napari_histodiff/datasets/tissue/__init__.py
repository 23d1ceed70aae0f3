"""Tissue maps in files: pictures of ids or colours, and annotated regions."""
