"""Models of the Hugging Face Hub: looked at, accepted by the user, downloaded; never by itself."""
