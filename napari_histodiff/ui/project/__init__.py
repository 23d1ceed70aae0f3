"""What is worked on, kept in a folder: canvas, edits, paint of all places, settings, camera."""
