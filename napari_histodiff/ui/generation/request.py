"""From what is painted and chosen to the one request that decides the pixels."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Any, Final

from napari_histodiff.core.captions import Caption, caption_from_maps
from napari_histodiff.core.errors import InvalidRequest
from napari_histodiff.core.maps import TISSUE_NAMES, in_schema
from napari_histodiff.core.requests import LIMITS, EditKind, EditRequest
from napari_histodiff.ui.generation.settings import SeedMode, Settings
from napari_histodiff.ui.steering.steering import settings_of_steering, steering_of

if TYPE_CHECKING:
    from napari_histodiff.core.backend import BackendInfo
    from napari_histodiff.ui.steering.reference import Reference
    from napari_histodiff.ui.workspace.document import Document
    from napari_histodiff.ui.workspace.snapshot import FrameSnapshot

__all__ = [
    "caption_of",
    "following_seed",
    "own_settings",
    "request_of",
    "schema_of",
    "seed_of_run",
    "settings_of",
    "takes_paint",
]

_SEEDS: Final = (int(LIMITS["seed"][0]), int(LIMITS["seed"][1]))


def following_seed(seed: int) -> int:
    """Return the next seed; the first follows the last."""
    return _SEEDS[0] if seed >= _SEEDS[1] else seed + 1


def seed_of_run(settings: Settings) -> int:
    """Return the seed of the run that starts now, as the seed mode says; live painting keeps it."""
    if settings.live:
        return settings.seed
    if settings.seed_mode is SeedMode.RANDOM:
        return random.SystemRandom().randint(*_SEEDS)
    if settings.seed_mode is SeedMode.NEXT:
        return following_seed(settings.seed)
    return settings.seed


def caption_of(document: Document) -> str:
    """Return a caption of what is painted in the frame.

    Raises
    ------
    InvalidRequest
        When nothing that has a word is painted there.
    """
    class_map, instance_map = document.nuclei.maps()
    caption = caption_from_maps(class_map, instance_map, document.tissue.tissue)
    if not instance_map.any():
        caption = Caption(tissue=caption.tissue)  # which nuclei there are is left open
    text = caption.to_text()
    if not text:
        raise InvalidRequest(
            "Nothing that has a word is painted in the frame; paint nuclei or tissue first."
        )
    return text


def takes_paint(info: BackendInfo | None) -> bool:
    """Tell whether a model is told of any paint; also before it has said what it is."""
    return info is None or bool(info.paint)


def own_settings(before: BackendInfo | None, info: BackendInfo | None) -> dict[str, Any]:
    """Return the settings, by name, that another model is meant for; none where they are the same.

    Those of the bundled model are two steps, at which most others draw noise.
    """
    if before is None or info is None:
        return {}
    own = {"steps": info.steps, "guidance_scale": info.guidance_scale}
    return own if own != {name: getattr(before, name) for name in own} else {}


def schema_of(info: BackendInfo | None) -> tuple[str, ...]:
    """Return the tissue schema of a model; the whole one until it is loaded."""
    return TISSUE_NAMES if info is None else info.tissue_names


def request_of(
    snapshot: FrameSnapshot,
    settings: Settings,
    info: BackendInfo | None = None,
    reference: Reference | None = None,
) -> EditRequest:
    """Resolve a frame and the settings that count there into the request that decides the pixels.

    Tissue is told in the schema of the model, what that lacks is unspecified; None before a model
    has said what it is. A `reference` gives stain and texture.

    Raises
    ------
    InvalidRequest
        When something is missing or out of range.
    """
    painted = snapshot.uses_paint
    changes_pixels = snapshot.kind in (EditKind.INPAINT, EditKind.OUTPAINT)
    tissue = in_schema(snapshot.tissue_map, schema_of(info)) if snapshot.uses_tissue else None
    if tissue is not None and not tissue.any():
        tissue = None
    return EditRequest(
        kind=snapshot.kind,
        region=snapshot.region,
        class_map=snapshot.class_map if painted else None,
        instance_map=snapshot.instance_map if painted else None,
        tissue_map=tissue,
        image=snapshot.image if changes_pixels else None,
        edit_mask=snapshot.edit_mask if changes_pixels else None,
        caption=settings.caption.strip(),
        region_captions=settings.region_captions,
        guidance_scale=settings.guidance_scale,
        steps=settings.steps,
        strength=settings.strength,
        strength_map=None if snapshot.shares is None else snapshot.shares * settings.strength,
        fill=settings.fill,
        feather=settings.feather if snapshot.kind is EditKind.INPAINT else 0.0,
        steering=steering_of(snapshot.kind, settings, reference),
        seed=settings.seed,
        variants=settings.variants,
        mpp=snapshot.mpp,
        model_name="" if info is None else info.name,
        model_revision="" if info is None else info.revision,
    )


def settings_of(request: EditRequest) -> dict[str, Any]:
    """Return the settings, by name, that a request was drawn with; the seed is not pinned."""
    acts = request.strength < 1 or request.strength_map is not None
    return {
        "caption": request.caption,
        "region_captions": request.region_captions,
        "guidance_scale": request.guidance_scale,
        "steps": request.steps,
        "strength": request.strength,
        **({"fill": request.fill} if acts else {}),
        "feather": request.feather,
        "seed": request.seed,
        "variants": request.variants,
        **settings_of_steering(request.steering),
    }
