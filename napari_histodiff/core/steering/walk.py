"""Which steps of a drawing are taken again: the schedule of RePaint."""

from __future__ import annotations

__all__ = ["walk"]


def walk(steps: int, repeats: int, jump: int, *, top: int = 0) -> tuple[int, ...]:
    """Return which positions of a schedule are visited, from 0 (the most noise) to `steps`.

    The schedule of the paper's appendix B: from `steps`, and each `jump` before it, one goes back
    by `jump` positions `repeats - 1` times.

    Parameters
    ----------
    steps : int
        The last position that one goes back from.
    repeats : int
        How often each piece is walked; r of the paper, 1 = once.
    jump : int
        How many positions one goes back; j of the paper. Fewer where there are not so many.
    top : int
        The first position that one goes back to.
    """
    jump = min(jump, steps - top)
    left = dict.fromkeys(range(steps, top, -jump), repeats - 1) if jump > 0 else {}
    left = {position: count for position, count in left.items() if position - jump >= top}
    visited = [0]
    while visited[-1] < steps:
        visited.append(visited[-1] + 1)
        while left.get(visited[-1], 0) > 0:
            left[visited[-1]] -= 1
            visited += range(visited[-1] - jump, visited[-1] + 1)
    return tuple(visited)
