"""`change_paint`: what is said in words, done to class, instance and tissue map by rules."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import ndimage

from napari_histodiff.core.errors import InvalidMap, InvalidRequest
from napari_histodiff.core.geometry import Region, as_shape
from napari_histodiff.core.maps import (
    CLASS_NAMES,
    TISSUE_NAMES,
    as_class_map,
    as_edit_mask,
    as_instance_map,
    as_tissue_map,
)
from napari_histodiff.core.nucleus_shapes import nucleus_statistics
from napari_histodiff.core.requests import checked_number
from napari_histodiff.layout.changes.nuclei import NucleiEdit, counted
from napari_histodiff.layout.changes.places import (
    INNER,
    SWING,
    Zone,
    areas_in,
    body_of,
    name_of,
    nothing_of,
    share_of,
    wavy_distance,
    zone_of,
)
from napari_histodiff.layout.changes.rows import Rows
from napari_histodiff.layout.changes.vocabulary import Verb
from napari_histodiff.layout.changes.words import Change, parse_changes
from napari_histodiff.layout.completion.placing import place_nuclei
from napari_histodiff.layout.plan import plan_of

__all__ = ["Changed", "change_paint"]

_ID: Final = {name: number for number, name in enumerate(TISSUE_NAMES)}
_STEP: Final = 30.0  # um that tissue grows or shrinks when nobody says how many
_EPITHELIUM: Final = 12.0  # um of it that stay around a lumen
_MORE: Final = 0.6  # times as many more, when nobody says how many
_LEAST: Final = 0.35  # of the usual density around a nucleus of a class, "more" adds at least
_FEWER: Final = 0.5


@dataclass(frozen=True, slots=True, eq=False)
class Changed:
    """Maps after a change, and what was done.

    Attributes
    ----------
    class_map : (h, w) uint8
    instance_map : (h, w) int32
    tissue_map : (h, w) uint8
    said : tuple of str
        One sentence for each change, as "added 34 lymphocytes along 1.2 mm of the border of the
        gland".
    """

    class_map: NDArray[np.uint8]
    instance_map: NDArray[np.int32]
    tissue_map: NDArray[np.uint8]
    said: tuple[str, ...]


def change_paint(
    class_map: ArrayLike | None,
    instance_map: ArrayLike | None,
    tissue_map: ArrayLike | None,
    text: str,
    *,
    mpp: float = 0.5,
    where: ArrayLike | None = None,
    caption: str = "",
    seed: int = 0,
    origin: tuple[int, int] = (0, 0),
) -> Changed:
    """Return maps changed as a sentence says; the same for the same arguments.

    Parameters
    ----------
    class_map, instance_map, tissue_map : (h, w) whole numbers, optional
        What is painted; one of them at least.
    text : str
        For example "grow the tumour by 40 um, then more lymphocytes at its border".
    mpp : float
        Micrometres per pixel, 0.1 to 64.
    where : (h, w) bool, optional
        What "here" means, at least one pixel of it; the whole frame by default.
    caption : str
        Its organ and levels say which nuclei new tissue has.
    seed : int
        0 .. 2**31 - 1; each changes other nuclei, and swings new borders in another way.
    origin : (int, int)
        Row and column of the frame on the plane.

    Raises
    ------
    InvalidMap
        When a map is invalid, or the maps differ in shape.
    InvalidRequest
        When words are not known, or name what is not there; "here", too, where `where` is empty;
        or a number is out of range.
    """
    mpp, seed = checked_number("mpp", mpp), int(checked_number("seed", seed))
    changes = parse_changes(text)
    given: list[NDArray[Any] | None] = [
        None if class_map is None else as_class_map(class_map),
        None if instance_map is None else as_instance_map(instance_map),
        None if tissue_map is None else as_tissue_map(tissue_map, len(TISSUE_NAMES)),
        None if where is None else as_edit_mask(where),
    ]
    shapes = {array.shape for array in given if array is not None}
    if len(shapes) != 1 or all(array is None for array in given[:3]):
        raise InvalidMap(
            f"expected maps of one shape to change, got {sorted(shapes) or 'none'}; crop them to "
            "the same frame"
        )
    shape = as_shape(shapes.pop())
    classes, instances, tissue = (
        np.zeros(shape, kind) if array is None else array.astype(kind)
        for array, kind in zip(given, (np.uint8, np.int32, np.uint8), strict=False)
    )
    here = None if given[3] is None else given[3].astype(np.bool_)
    paint = _Paint(classes, instances, tissue, mpp, here, caption, seed, Region(0, *origin, *shape))
    said = tuple(paint.do(change) for change in changes)
    return Changed(paint.nuclei.classes, paint.nuclei.instances, paint.tissue, said)


class _Paint:
    def __init__(
        self,
        classes: NDArray[np.uint8],
        instances: NDArray[np.int32],
        tissue: NDArray[np.uint8],
        mpp: float,
        here: NDArray[np.bool_] | None,
        caption: str,
        seed: int,
        frame: Region,
    ) -> None:
        rng = np.random.default_rng(seed)
        self.nuclei = NucleiEdit(classes, instances, mpp, rng)
        self.tissue = tissue.copy()
        self._mpp, self._here, self._caption = mpp, here, caption
        self._seed, self._frame = seed, frame

    def do(self, change: Change) -> str:
        """Carry out a change and say what was done."""
        if change.classes:
            verbs: dict[Verb, Any] = {
                Verb.MORE: self._more,
                Verb.FEWER: self._fewer,
                Verb.REMOVE: self._fewer,
                Verb.TURN: self._turn_nuclei,
            }
            zone = self._zone(change, change.microns)
        else:
            verbs = {
                Verb.GROW: self._grow,
                Verb.SHRINK: self._shrink,
                Verb.FEWER: self._remove,
                Verb.REMOVE: self._remove,
                Verb.PUT: self._put,
                Verb.TURN: self._turn_tissue,
            }
            zone = self._zone(change, change.microns if change.verb is Verb.PUT else None)
        done: str = verbs[change.verb](change, zone)
        return done

    def _zone(self, change: Change, width: float | None) -> Zone:
        zone = zone_of(
            change.place,
            self.tissue,
            self._here,
            frame=self._frame,
            mpp=self._mpp,
            seed=self._seed,
            width=width,
        )
        if not zone.mask.any():
            raise InvalidRequest(
                f'expected a place in the frame, got "{change.said}", which has no pixel here; '
                "say another place"
            )
        return zone

    # ------------------------------------------------------------------ nuclei
    def _more(self, change: Change, zone: Zone) -> str:
        added: dict[int, int] = {}
        wanted = 0
        area = float(zone.mask.sum()) * self._mpp**2 / 1e6
        split = len(change.classes)
        for number, class_id in enumerate(change.classes):
            present = len(self.nuclei.within(zone.mask, (class_id,)))
            usual = nucleus_statistics(class_id).density * area / split
            factor = 1.0 if change.factor is None else change.factor
            if change.count is not None:
                many = (change.count + split - 1 - number) // split  # together as many as said
            elif change.exact:
                many = round(factor * present)
            else:
                many = round(factor * max(_MORE * present, _LEAST * usual, 1))
            wanted += many
            added[class_id] = self.nuclei.add(class_id, many, zone.mask, self.tissue)
        total = sum(added.values())
        parts = " and ".join(counted(n, (class_id,)) for class_id, n in added.items())
        less = f"; {wanted - total} more found no room" if total < wanted else ""
        return f"added {parts}{zone.words}{less}"

    def _fewer(self, change: Change, zone: Zone) -> str:
        ids = self.nuclei.within(zone.mask, change.classes)
        if not len(ids):
            names = ", ".join(CLASS_NAMES[class_id - 1] for class_id in change.classes)
            raise InvalidRequest(
                f"expected nuclei to take away{zone.words}, got none ({names}); say another class "
                "or place"
            )
        usual = 1.0 if change.verb is Verb.REMOVE else _FEWER
        gone = self.nuclei.remove(self._some(ids, change, usual))
        return f"removed {counted(gone, change.classes)} of {len(ids)}{zone.words}"

    def _turn_nuclei(self, change: Change, zone: Zone) -> str:
        assert change.becomes is not None
        ids = self.nuclei.within(zone.mask, change.classes)
        if not len(ids):
            raise InvalidRequest(
                f'expected nuclei to turn, got none for "{change.said}"; say another class or place'
            )
        turned = self.nuclei.turn(self._some(ids, change, 1.0), change.becomes)
        many = counted(turned, change.classes)
        becomes = counted(2, (change.becomes,))[2:]
        return f"turned {many} of {len(ids)} into {becomes}{zone.words}"

    def _some(self, ids: NDArray[np.int64], change: Change, usual: float) -> NDArray[np.int64]:
        """Return as many of some nuclei as a change takes, by chance."""
        if change.count is not None:
            return self.nuclei.pick(ids, change.count)
        return self.nuclei.some(ids, _share(change, usual))

    # ------------------------------------------------------------------ tissue
    def _grow(self, change: Change, zone: Zone) -> str:
        number, (body, said) = self._present(change), self._chosen(change, zone)
        away = self._away(change, body)
        room = ~body_of(self.tissue, number) & zone.mask & (self.tissue != _ID["glass"])
        reach = self._reach(change, away[room], body)
        before, rows = (self.tissue == number).mean(), self._rows(number, reach)
        new = room & (away <= reach)
        nuclei = self._fill(new, number, rows)
        how = _how_far(change, reach, new, body)
        return f"grew {said} by {how}, {self._since(before, number)}{zone.words}; {nuclei}"

    def _shrink(self, change: Change, zone: Zone) -> str:
        number, (body, said) = self._present(change), self._chosen(change, zone)
        inside = -self._away(change, body)
        reach = self._reach(change, inside[body & zone.mask], body)
        before, rows = (self.tissue == number).mean(), self._rows(number, reach)
        lost = body & (inside <= reach) & zone.mask
        kept = body & ~lost
        if number == _ID["gland"] and lost.any():
            # Its lumen goes with it, and keeps a rim of epithelium.
            deep = ndimage.distance_transform_edt(kept) * self._mpp
            inner = kept & np.isin(self.tissue, INNER) & (deep < _EPITHELIUM)
            self.tissue[inner] = number
        nuclei = self._fill_from_around(lost, body_of(self.tissue, number), rows)
        how = _how_far(change, reach, lost, body)
        return f"shrank {said} by {how}, {self._since(before, number)}{zone.words}; {nuclei}"

    def _remove(self, change: Change, zone: Zone) -> str:
        gone, said = self._chosen(change, zone)
        nuclei = self._fill_from_around(gone, gone)
        return f"removed {said}{zone.words}; {nuclei}"

    def _put(self, change: Change, zone: Zone) -> str:
        assert change.tissue is not None
        nuclei = self._fill(zone.mask & (self.tissue != change.tissue), change.tissue)
        area = _area(self._square_um(zone.mask))
        return f"painted {area} of {name_of(change.tissue)}{zone.words}; {nuclei}"

    def _turn_tissue(self, change: Change, zone: Zone) -> str:
        assert change.becomes is not None
        chosen, said = self._chosen(change, zone)
        nuclei = self._fill(chosen & (self.tissue == change.tissue), change.becomes)
        return f"turned {said} into {name_of(change.becomes)}{zone.words}; {nuclei}"

    def _present(self, change: Change) -> int:
        assert change.tissue is not None
        if not (self.tissue == change.tissue).any():
            raise nothing_of(change.tissue, self.tissue)
        return change.tissue

    def _chosen(self, change: Change, zone: Zone) -> tuple[NDArray[np.bool_], str]:
        """Return where the tissue is that changes, with what it encloses, and what it is in words.

        Raises
        ------
        InvalidRequest
            When there is none, or so many areas cannot be chosen of those that there are.
        """
        number = self._present(change)
        body, name = body_of(self.tissue, number), name_of(number)
        moves = change.verb in (Verb.GROW, Verb.SHRINK)
        share = change.share
        if not moves and (change.verb is Verb.FEWER or change.factor is not None):
            share = _share(change, _FEWER)
        if change.count is None and share is None:
            if moves:
                return body, f"the {name}"
            body &= zone.mask
            if not body.any():
                raise nothing_of(number, self.tissue)
            return body, f"{_area(self._square_um(body & (self.tissue == number)))} of {name}"
        areas, ids = areas_in(body, zone.mask)
        if not len(ids):
            raise InvalidRequest(
                f"expected an area of {name} that lies mostly{zone.words}, got none; say another "
                "place, or no number"
            )
        if change.count is not None:
            taken = self.nuclei.pick(ids, change.count).tolist()
        else:
            assert share is not None
            taken = share_of(areas, self.nuclei.pick(ids, len(ids)), share)
            if share > 0 and not taken:
                raise InvalidRequest(
                    f"expected enough areas of {name}{zone.words} to take {share:.0%} of them, got "
                    f'{len(ids)}; say how many, as "1 {name}", or where, as "at the top" or "here"'
                )
        return np.isin(areas, taken), f"{len(taken)} of {len(ids)} areas of {name}"

    def _away(self, change: Change, body: NDArray[np.bool_]) -> NDArray[np.float32]:
        # A border that moves by 1 um swings by no more, or it would move farther where it swings.
        most = SWING if change.microns is None else change.microns
        return wavy_distance(body, self._frame, self._mpp, self._seed, most)

    def _reach(self, change: Change, away: NDArray[np.float32], body: NDArray[np.bool_]) -> float:
        """Return by how many um the border moves, where it may as far as `away`."""
        if _of_none(change) or not body.any() or not away.size:
            return -np.inf  # a new border swings, also about the old one
        if change.microns is not None:
            return change.microns
        if change.factor is not None and change.exact:  # of its size
            wanted = max(1, round(change.factor * int(body.sum())))
            return float(np.sort(away)[min(wanted, away.size) - 1])
        return _STEP * (change.factor or 1.0)

    def _since(self, before: float, number: int) -> str:
        return f"{before:.0%} to {(self.tissue == number).mean():.0%} of the frame"

    def _square_um(self, mask: NDArray[np.bool_]) -> float:
        return float(mask.sum()) * self._mpp**2

    def _rows(self, number: int, reach: float) -> tuple[Rows, float] | None:
        """Return the nuclei that go along with the border of glands, and how far at most."""
        if number != _ID["gland"] or reach <= 0:
            return None
        return Rows(self.nuclei, body_of(self.tissue, number), self._mpp), reach + SWING

    def _fill(
        self,
        new: NDArray[np.bool_],
        number: int | NDArray[np.uint8],
        rows: tuple[Rows, float] | None = None,
    ) -> str:
        # Tissue of one kind, or of several, with the nuclei that stand in such.
        self.tissue[new] = number if isinstance(number, int) else number[new]
        leaves, where = self.nuclei.within(new), new
        if rows is not None:
            leaves = np.setdiff1d(leaves, rows[0].ids)
        gone = self.nuclei.remove(leaves)
        if rows is not None:
            body = body_of(self.tissue, _ID["gland"])
            bare, lost = rows[0].follow(body, self.tissue, rows[1])
            where, gone = (new & ~body) | bare, gone + lost
        classes, instances = place_nuclei(
            self.tissue,
            where,
            self.nuclei.instances > 0,
            plan_of(self._caption),
            frame=self._frame,
            mpp=self._mpp,
            seed=self._seed,
        )
        came = self.nuclei.merge(classes, instances)
        return f"{gone} nuclei taken away, {came} placed"

    def _fill_from_around(
        self,
        lost: NDArray[np.bool_],
        body: NDArray[np.bool_],
        rows: tuple[Rows, float] | None = None,
    ) -> str:
        beside = ~body & (self.tissue > 0) & ~np.isin(self.tissue, INNER)
        filling = np.full(self.tissue.shape, _ID["stroma"], np.uint8)
        if beside.any():
            ys, xs = ndimage.distance_transform_edt(
                ~beside, return_distances=False, return_indices=True
            )
            filling = self.tissue[ys, xs]
        return self._fill(lost, filling, rows)


def _how_far(
    change: Change, reach: float, moved: NDArray[np.bool_], body: NDArray[np.bool_]
) -> str:
    if change.factor is None or not change.exact:
        return f"{round(max(reach, 0.0), 1):g} µm"
    return f"{moved.sum() / max(int(body.sum()), 1):.0%} of its size"


def _of_none(change: Change) -> bool:
    return 0 in (change.count, change.microns) or (change.exact and change.factor == 0)


def _share(change: Change, usual: float) -> float:
    """Return which share of what is there a change takes: of a few 29 %, of many 75 %."""
    if change.factor is None:
        return usual
    said = change.exact or change.factor == 1
    return min(1.0, change.factor) if said else 1 - 0.5**change.factor


def _area(square_um: float) -> str:
    return f"{square_um / 1e6:.2f} mm²" if square_um >= 1e4 else f"{square_um:.0f} µm²"
