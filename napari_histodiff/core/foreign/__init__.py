"""Folders of pipelines of diffusers: what they are, and how they take paint."""
