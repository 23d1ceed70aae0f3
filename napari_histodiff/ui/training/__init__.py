"""The dock that fine-tunes a model: form, process, progress."""
