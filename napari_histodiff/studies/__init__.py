"""Studies with people and with trained networks: does it look real, does it help."""
