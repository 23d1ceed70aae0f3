"""The layers of one viewer: the image worked on, the frame, the paint and its undo."""
