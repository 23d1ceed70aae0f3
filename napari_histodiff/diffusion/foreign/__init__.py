"""Models of other makers as backends: pipelines of diffusers, of pixels or of latents."""
