"""Edits of this and earlier sessions: files of their own, found by caption, gone back to."""
