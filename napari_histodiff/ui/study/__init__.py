"""The dock of reader studies: the same file, trials and order as in the browser."""
