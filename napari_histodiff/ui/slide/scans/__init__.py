"""Scanned slides in the Studio: shown, measured, edited."""
