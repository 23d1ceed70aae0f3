"""Comparisons of other networks and other training labels at an equal, small budget of crops."""

from __future__ import annotations

__all__: list[str] = []
