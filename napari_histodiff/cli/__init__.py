"""The command line, `histodiff`."""
