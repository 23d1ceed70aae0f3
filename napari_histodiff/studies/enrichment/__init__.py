"""Does drawn tissue help to train a segmenter: mixes of real and drawn tiles, equal updates."""
