"""What is asked and said about models: how one takes paint, and its card."""
