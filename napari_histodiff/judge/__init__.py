"""The judge: finds and classes nuclei, and never sees what the generator draws while it learns."""
