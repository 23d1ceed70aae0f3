"""Layouts in the Studio: paint changed in words, layouts made up."""
