"""Edits of a slide: from a request to changed tiles, their pyramid, undo and redo."""
