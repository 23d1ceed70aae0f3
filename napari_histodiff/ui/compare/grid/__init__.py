"""Variants, and series in which one thing varies, side by side."""
