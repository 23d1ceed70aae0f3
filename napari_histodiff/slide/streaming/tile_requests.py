"""From a block of tiles to the request that draws it, and from its pixels to the slide.

Everything here is a pure function of the slide's recipe and sketch, of the pixels it has one level
up, and of what edits of coarser levels painted, which conditions the levels drawn from them.
ARRAY coordinates start at the slide, PLANE coordinates at the recipe's origin. The request of a
block counts levels from the one that was the finest when the slide was new: so a place keeps its
noise when finer levels are added.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from napari_histodiff.core.box_mean import (
    SMOOTH_REACH,
    any_down,
    block_means,
    box_down,
    repeat_up,
    smooth_up,
)
from napari_histodiff.core.errors import InvalidRequest
from napari_histodiff.core.geometry import Region, TileAddress
from napari_histodiff.core.maps import TISSUE_NAMES, decode_labels, encode_labels, in_schema
from napari_histodiff.core.recipe import TILE, SlideRecipe
from napari_histodiff.core.requests import EditKind, EditRequest
from napari_histodiff.inpainting.projection import project_on_coarse
from napari_histodiff.slide.store import SlideStore
from napari_histodiff.slide.streaming.planning import block_tiles

__all__ = [
    "Painted",
    "SlideMaps",
    "block_labels",
    "block_pixels",
    "block_request",
    "glass_labels",
    "glass_pixels",
    "keeps_labels",
    "maps_at",
    "painted_above",
    "put_block",
    "tissue_at",
    "to_plane",
    "twice",
]

# Sides of the largest block in tiles.
_MOST_TILES = 2

_GLASS = TISSUE_NAMES.index("glass")

_Number = TypeVar("_Number", np.int32, np.uint8)


def to_plane(recipe: SlideRecipe, region: Region) -> Region:
    """Return a region of a slide (ARRAY coordinates) on the endless plane."""
    return region.translate(recipe.origin[0] >> region.level, recipe.origin[1] >> region.level)


def block_request(store: SlideStore, block: Region) -> EditRequest | None:
    """Return the request that draws a block; None when there is only glass far from tissue.

    The request reaches the recipe's margin around the block on every side, also beyond the slide,
    where the layout goes on and stands in for pixels. Where the user changed coarser levels nuclei
    and tissue are those of the edits, and no glass is known. Its target is the block's whole tiles,
    also where the slide ends within them. Where the recipe draws a level one finer, all of it has
    twice as many pixels a side, and `block_pixels` makes the block of what is drawn.

    Parameters
    ----------
    store : SlideStore
        The slide.
    block : Region
        1 or 2 tiles a side of a level that the model draws, ARRAY coordinates; cut at the slide's
        border or not.

    Raises
    ------
    InvalidRequest
        When the block is no such block.
    StorageError
        When a tile one level up is not drawn yet, or can not be read.
    """
    recipe, layout = store.recipe, store.layout
    drawn = recipe.level_drawn(block.level)
    scale = 1 << (block.level - drawn)
    target = _whole(store, block)
    region = target.pad(-(-recipe.margin // scale))
    glass = _known_glass(layout, to_plane(recipe, region))
    painted = painted_above(store, region)
    if painted is not None:
        glass &= ~painted.mask
    if glass.all():
        return None
    coarse, known = _from_above(store, region, bare=bool(glass.any()))
    if scale > 1:
        painted = None if painted is None else painted.finer
        coarse, known = (None if a is None else repeat_up(a, scale) for a in (coarse, known))
        glass = repeat_up(glass, scale)
    plane, shown = (store.spec.at_level(to_plane(recipe, a), drawn) for a in (region, target))
    classes, instances, tissue = _maps(layout, plane, painted)
    return EditRequest(
        kind=EditKind.GENERATE if coarse is None else EditKind.ZOOM,
        region=_keyed(recipe, plane),
        target=_keyed(recipe, shown),
        class_map=classes,
        instance_map=instances,
        tissue_map=in_schema(tissue, recipe.tissue_names),
        fibres=layout.fibres(plane) if recipe.fibres else None,
        tinted=recipe.tinted,
        image=known,
        edit_mask=None if known is None else ~glass,
        coarse=coarse,
        coarse_levels=1 if coarse is None else scale,
        caption=recipe.caption,
        guidance_scale=recipe.guidance_scale,
        steps=recipe.steps,
        seed=recipe.seed,
        mpp=recipe.mpp * (1 << drawn),
        stain=recipe.stains[drawn],
    )


def block_pixels(
    request: EditRequest, block: Region, pixels: NDArray[np.uint8]
) -> NDArray[np.uint8]:
    """Return the pixels of a block, (h, w, 3) uint8 of its whole tiles, from what was drawn for it.

    Where the request is of pixels half as large these are the means of 2 x 2 of them, brought to
    have exactly the mean that is one level up.

    Parameters
    ----------
    request : EditRequest
        As `block_request` made it.
    block : Region
        The block it was made for.
    pixels : (h, w, 3) or (2h, 2w, 3) uint8
        What a model drew for the request.
    """
    place = block.snap(TILE)
    if pixels.shape[:2] == place.shape:
        return pixels
    if request.coarse is None:
        return box_down(pixels)
    coarse = request.coarse[request.drawn.relative_to(request.region).slices][::2, ::2]
    means = block_means(pixels, 2) / 127.5 - 1
    projected: NDArray[np.uint8] = project_on_coarse(means[None], coarse, place)[0]
    return projected


def maps_at(store: SlideStore, region: Region) -> SlideMaps:
    """Return what lies at a place, edits included; what a model is told that draws it anew.

    A pixel of a coarser level has what a finer edit has at its first one, as with the layout.

    Parameters
    ----------
    store : SlideStore
        The slide.
    region : Region
        Any place of a level that the model draws, ARRAY coordinates.
    """
    return _maps(store.layout, to_plane(store.recipe, region), _painted_at(store, region))


def tissue_at(store: SlideStore, region: Region) -> NDArray[np.uint8]:
    """Return what tissue a place shows, edits of all levels included, (h, w) uint8.

    Unlike what a model is told, fat is one tissue; a pixel of a coarser level has what a finer edit
    has at its first one, as with the layout.

    Parameters
    ----------
    store : SlideStore
        The slide.
    region : Region
        Any place of any level, ARRAY coordinates.
    """
    own: NDArray[np.uint8] = store.layout.tissue(to_plane(store.recipe, region))
    tissue = own.copy()
    painted = _painted_at(store, region)
    if painted is not None:
        told = np.where(painted.tissue > 0, painted.tissue, own)
        np.copyto(tissue, told, where=painted.mask)
    return tissue


def _maps(layout: Any, plane: Region, painted: Painted | None) -> SlideMaps:
    classes, instances = layout.nuclei(plane)
    tissue = layout.tissue_to_draw(plane)
    if painted is not None:
        own_instances, own_classes = decode_labels(painted.labels)
        classes = np.where(painted.mask, own_classes, classes)
        instances = np.where(painted.mask, own_instances, instances)
        # Somebody painted there, and did not say glass: it is that no longer.
        unsaid = painted.mask & (painted.tissue == 0)
        tissue = np.where(unsaid & (tissue == _GLASS), np.uint8(0), tissue)
        # What the layout has there, too, it knows to this level's pixel, fat cell by cell.
        differs = (painted.tissue > 0) & (painted.tissue != layout.tissue(plane))
        tissue = np.where(differs, painted.tissue, tissue)
    return SlideMaps(classes, instances, tissue)


def glass_pixels(store: SlideStore, block: Region) -> NDArray[np.uint8]:
    """Return the pixels of a block of glass, (h, w, 3) uint8 of its whole tiles.

    These are what a model would have been given as known: the pixels one level up, smoothed, or the
    colour of glass at the coarsest level.

    Raises
    ------
    InvalidRequest, StorageError
        As `block_request`.
    """
    _, bare = _from_above(store, _whole(store, block), bare=True)
    return np.asarray(bare, np.uint8)


def block_labels(request: EditRequest, block: Region) -> NDArray[np.int32]:
    """Return the nuclei of a block as labels, (h, w) int32 of its whole tiles.

    Parameters
    ----------
    request : EditRequest
        As `block_request` made it.
    block : Region
        The block it was made for.
    """
    target = request.drawn
    if block.snap(TILE).shape != target.shape or request.class_map is None:
        raise InvalidRequest(
            f"expected the request of {block}, got one that draws {target}; "
            "give the block it was made for"
        )
    part = target.relative_to(request.region).slices
    instances = request.instance_map
    return encode_labels(
        np.zeros(target.shape, np.int32) if instances is None else instances[part],
        request.class_map[part],
    )


def keeps_labels(recipe: SlideRecipe, level: int) -> bool:
    """Return whether the nuclei of what is drawn at a level are stored.

    They are at the level that was the finest when the slide was new, and at those added below it.
    """
    return level <= recipe.refined


def glass_labels(store: SlideStore, block: Region) -> NDArray[np.int32] | None:
    """Return the nuclei of a block of glass, (h, w) int32 of its whole tiles.

    None at levels that store no nuclei. Only a sketch or layout that puts some on glass has any.
    """
    if not keeps_labels(store.recipe, block.level):
        return None
    classes, instances = store.layout.nuclei(to_plane(store.recipe, _whole(store, block)))
    return encode_labels(instances, classes)


def put_block(
    store: SlideStore,
    block: Region,
    pixels: NDArray[np.uint8],
    labels: NDArray[np.int32] | None = None,
    *,
    since: int | None = None,
) -> list[TileAddress]:
    """Store a drawn block tile by tile, cut at the slide's border; return the tiles it took.

    Parameters
    ----------
    store : SlideStore
        The slide; edited tiles are left as they are.
    block : Region
        1 or 2 tiles a side, ARRAY coordinates.
    pixels : (h, w, 3) uint8
        Of its whole tiles.
    labels : (h, w) int32, optional
        Nuclei of its whole tiles.
    since : int, optional
        `SlideStore.revision` before the block's request was made; tiles are not taken when an edit
        has changed since what they are drawn from.

    Raises
    ------
    StorageError
        When a tile can not be written; those before it are kept.
    """
    whole = _whole(store, block)
    taken = []
    for tile in block_tiles(whole):
        part = store.spec.region(tile).relative_to(whole).slices
        nuclei = None if labels is None else labels[part]
        if store.put_generated(tile, pixels[part], nuclei, since=since):
            taken.append(tile)
    return taken


def _keyed(recipe: SlideRecipe, plane: Region) -> Region:
    """Return a region of the plane at the level that keys its noise."""
    return replace(plane, level=plane.level - recipe.refined)


def _whole(store: SlideStore, block: Region) -> Region:
    """Return the whole tiles of a block after checking that it is one."""
    whole = block.snap(TILE)
    bounds = store.spec.bounds(block.level)
    aligned = block in (whole, whole.intersect(bounds))
    fits = not block.is_empty and max(whole.shape) <= _MOST_TILES * TILE
    if not (aligned and fits and bounds.snap(TILE).contains(whole)):
        raise InvalidRequest(
            f"expected a block of whole tiles, at most {_MOST_TILES} a side, inside the slide, got "
            f"{block}; take blocks from planning.blocks"
        )
    if block.level > store.recipe.coarsest:
        raise InvalidRequest(
            f"expected a block of a level from 0 to {store.recipe.coarsest}, got level "
            f"{block.level}; coarser levels follow from these by themselves"
        )
    return whole


def _known_glass(layout: Any, plane: Region) -> NDArray[np.bool_]:
    """Return the glass that is not left to the model, (h, w) bool.

    Only whole 2 x 2 blocks: pixels of a block that is half known could not keep its mean.
    """
    even = plane.snap(2)
    known: NDArray[np.bool_] = repeat_up(~any_down(~layout.glass(even)), 2)
    return known[plane.relative_to(even).slices]


def _from_above(
    store: SlideStore, region: Region, *, bare: bool
) -> tuple[NDArray[np.uint8] | None, NDArray[np.uint8] | None]:
    """Return what one level up gives a region: its pixels, enlarged, and bare glass if asked for.

    The first is None at the coarsest level. Bare glass is what shows where nothing lies on it: of
    the means it has one level up, and without steps, as a level that repeated the pixels above it
    would show them as squares.
    """
    if region.level == store.recipe.coarsest:
        return None, np.full((*region.shape, 3), store.recipe.glass, np.uint8) if bare else None
    above = store.spec.at_level(region, region.level + 1)
    wide = above.pad(SMOOTH_REACH) if bare else above
    pixels = store.base(wide)
    part = region.relative_to(above.at_level(region.level)).slices
    enlarged = repeat_up(pixels[above.relative_to(wide).slices], 2)
    return enlarged[part], smooth_up(pixels)[part] if bare else None


class SlideMaps(NamedTuple):
    """Nuclei and tissue of a place of a slide, each (h, w)."""

    class_map: NDArray[np.uint8]
    instance_map: NDArray[np.int32]
    tissue_map: NDArray[np.uint8]


class Painted(NamedTuple):
    """Where edits show at a place, and the nuclei and tissue they were drawn with.

    Attributes
    ----------
    mask : (h, w) bool
        Where.
    labels : (h, w) int32
        7 * instance + class; 0 outside the mask.
    tissue : (h, w) uint8
        Ids of `TISSUE_NAMES`; 0 outside the mask, and where an edit did not say.
    """

    mask: NDArray[np.bool_]
    labels: NDArray[np.int32]
    tissue: NDArray[np.uint8]

    @classmethod
    def nowhere(cls, shape: tuple[int, int]) -> Painted:
        """Return a place without edits."""
        return cls(np.zeros(shape, np.bool_), np.zeros(shape, np.int32), np.zeros(shape, np.uint8))

    def put(self, slices: tuple[slice, slice], part: Painted) -> None:
        """Put what shows over it into a part of it."""
        np.copyto(self.labels[slices], part.labels, where=part.mask)
        np.copyto(self.tissue[slices], part.tissue, where=part.mask)
        self.mask[slices] |= part.mask

    def part(self, slices: tuple[slice, slice]) -> Painted:
        """Return the pixels that slices choose."""
        return Painted(self.mask[slices], self.labels[slices], self.tissue[slices])

    @property
    def finer(self) -> Painted:
        """The same at twice the scale."""
        mask = repeat_up(self.mask, 2)
        tissue = twice(self.tissue, side_by_side=True)
        return Painted(mask, np.where(mask, twice(self.labels), 0), np.where(mask, tissue, 0))


def painted_above(store: SlideStore, region: Region) -> Painted | None:
    """Return what the user painted at the levels above a region; None when that is nothing.

    Where edits of several levels lie over each other it is the finest one that holds: a coarser one
    that is made later takes it away.

    Parameters
    ----------
    store : SlideStore
        The slide.
    region : Region
        Any place of a level that the model draws, ARRAY coordinates.
    """
    places = [region]
    while places[-1].level < store.recipe.coarsest:
        finer = places[-1]
        # One pixel more on each side: outlines are smoothed by their neighbours.
        places.append(store.spec.at_level(finer, finer.level + 1).pad(1))
    found: Painted | None = None
    for here, finer in zip(reversed(places[1:]), reversed(places[:-1]), strict=True):
        found = _over(found, _painted_here(store, here))
        if found is not None:
            found = found.finer.part(finer.relative_to(here.at_level(finer.level)).slices)
    return found if found is not None and found.mask.any() else None


def _painted_at(store: SlideStore, region: Region) -> Painted | None:
    """Return what edits of all levels painted in a region; None when that is nothing."""
    found = _over(painted_above(store, region), _painted_here(store, region))
    # Finer edits show over coarser ones, the finest last.
    for tile in sorted(store.edited_under(region), reverse=True):
        place, step = store.spec.region(tile), 1 << (region.level - tile.level)
        finer = _painted_here(store, place)
        if finer is None:
            continue
        y, x = -(-place.y // step), -(-place.x // step)
        samples = finer.part(np.s_[y * step - place.y :: step, x * step - place.x :: step])
        there = Region(region.level, y, x, *samples.mask.shape)
        common = there.intersect(region)
        if common.is_empty:
            continue
        inside, here = common.relative_to(there).slices, common.relative_to(region).slices
        found = Painted.nowhere(region.shape) if found is None else found
        found.put(here, samples.part(inside))
    return found


def _painted_here(store: SlideStore, region: Region) -> Painted | None:
    """Return what edits of a region's own level painted there; None when that is nothing."""
    own = store.edited(region)
    if not own.any():
        return None
    labels, tissue = store.labels(region), store.tissue(region)
    return Painted(own, np.where(own, labels, 0), np.where(own, tissue, 0))


def _over(below: Painted | None, above: Painted | None) -> Painted | None:
    if below is None or above is None:
        return below if above is None else above
    labels = np.where(above.mask, above.labels, below.labels)
    tissue = np.where(above.mask, above.tissue, below.tissue)
    return Painted(below.mask | above.mask, labels, tissue)


def twice(labels: NDArray[_Number], *, side_by_side: bool = False) -> NDArray[_Number]:
    """Return a map of labels at twice the scale, (2h, 2w), with slopes where there were steps.

    A quarter of a background pixel between two neighbours of one nucleus becomes part of it, as in
    Scale2x (Mazzoleni, 2001); nothing is taken from a nucleus, or the steps would stay.

    Parameters
    ----------
    labels : (h, w) whole numbers
        0 = background.
    side_by_side : bool
        Whether labels lie beside each other, as tissues do, and not on a background: then one
        takes from another, and nothing becomes background.
    """
    wide = np.pad(labels, 1, mode="edge")
    up, down = wide[:-2, 1:-1], wide[2:, 1:-1]
    left, right = wide[1:-1, :-2], wide[1:-1, 2:]
    fine = repeat_up(labels, 2)
    for row, one, opposite in ((0, up, down), (1, down, up)):
        for col, other, across in ((0, left, right), (1, right, left)):
            agree = (one == other) & (one != across) & (other != opposite)
            free = one != 0 if side_by_side else labels == 0
            fine[row::2, col::2] = np.where(agree & free, one, labels)
    return fine
