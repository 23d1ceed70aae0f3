"""Edits of scanned slides: stores that hold edited tiles and paint, bound to their scan."""
