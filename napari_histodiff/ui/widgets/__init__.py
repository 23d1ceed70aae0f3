"""The sections of the dock: signals out, setters in."""
