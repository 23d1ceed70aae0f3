"""The edit mask in the window: made from shapes, nuclei and areas, grown and shrunk."""
