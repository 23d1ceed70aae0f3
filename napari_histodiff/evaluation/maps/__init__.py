"""Maps over an image or a slide: what is unlike drawn tissue, and where the segmenter is unsure."""
