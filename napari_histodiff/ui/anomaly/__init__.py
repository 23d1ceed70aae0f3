"""Where the frame is unlike what the model draws, as a layer."""
