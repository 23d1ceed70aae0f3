"""Synthetic slides in the window: session, map, dialogs."""
