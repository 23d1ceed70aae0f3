"""What is written to files that the user named: edits, the frame, the image; code that draws."""
