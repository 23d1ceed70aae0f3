"""The Python interface: a loaded model is a function from painted maps to pixels."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Mapping
from dataclasses import replace
from numbers import Real
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from napari_histodiff.core.backend import guided
from napari_histodiff.core.errors import InvalidRequest
from napari_histodiff.core.geometry import Region, as_shape
from napari_histodiff.core.maps import (
    as_class_map,
    as_edit_mask,
    as_instance_map,
    as_rgb,
    as_tissue_map,
    in_schema,
)
from napari_histodiff.core.requests import EditKind, EditRequest
from napari_histodiff.core.steering.guides import PYTHON_GUIDE, as_guides
from napari_histodiff.core.steering.start import as_fill
from napari_histodiff.core.steering.steering import DEFAULT_REFERENCE, Steering
from napari_histodiff.core.steering.strengths import as_strength_map
from napari_histodiff.core.torch_start import busy_waiting
from napari_histodiff.layout import changes, invention
from napari_histodiff.layout.completion import Completion, complete_paint, completed, structure_seed
from napari_histodiff.remarks import remark_on, remark_on_caption, remarking

if TYPE_CHECKING:
    from napari_histodiff.core.backend import Backend, BackendInfo, OnStep
    from napari_histodiff.evaluation.maps.anomaly import AnomalyMap, AnomalySettings
    from napari_histodiff.evaluation.maps.running import Segmenters
    from napari_histodiff.evaluation.maps.tiles import OnTile
    from napari_histodiff.hub.lookup import HubModel
    from napari_histodiff.segmenter.ensemble import UncertainNuclei
    from napari_histodiff.segmenter.model import OnView

__all__ = [
    "BusyThreads",
    "Model",
    "change_paint",
    "invent",
    "load_model",
]

change_paint = remarking(changes.change_paint, __file__)
invent = remarking(invention.invent, __file__, counts='counts={"lymphocyte": 120}')

#: What a drawing is guided towards: names with strengths, or a function of images.
GuideArgument = str | Mapping[str, float] | Callable[[Any], Any] | None


class BusyThreads(UserWarning):
    """torch was loaded before this package could quiet its threads: drawing is slow."""


def load_model(
    path: str | Path | None = None,
    device: str = "auto",
    *,
    accept_licence: str | Callable[[HubModel], bool] | None = None,
) -> Model:
    """Load a model, the bundled one by default.

    Parameters
    ----------
    path : path, optional
        A model folder, as `histodiff train` writes it, or that of a pipeline of diffusers, or
        "owner/name" of the Hugging Face Hub; see docs/other-models.md.
    device : str
        "auto", "cpu", "cuda:0" ...
    accept_licence : str or callable, optional
        Of a model of the hub that is not on this machine: the name of its licence, which is
        accepted, or a function that shows the model, its size and licence, and returns the answer.
        Nothing is downloaded without.

    Raises
    ------
    ModelNotFound, ModelInvalid
        When the folder holds no model this release can load.
    LicenceNotAccepted, HubUnavailable
        When a model of the hub may not be, or cannot be, downloaded.
    DeviceUnavailable
        When the device is not on this machine.
    """
    if path is not None:
        from napari_histodiff.hub.resolving import model_path

        path = model_path(path, accept_licence)
    from napari_histodiff.backends import default_backend

    backend = default_backend(path, device)
    if busy_waiting() and backend.info.device.startswith("cpu"):
        text = (
            "torch was loaded before napari_histodiff, with threads that spin while they wait: "
            "drawing can take several times as long; import napari_histodiff before torch, or "
            "start Python with OMP_WAIT_POLICY=PASSIVE"
        )
        warnings.warn(BusyThreads(text), stacklevel=2)
    return Model(backend)


class Model:
    """Draws tissue; `model(class_map)` is all it takes.

    Parameters
    ----------
    backend : Backend
        What draws.
    """

    def __init__(self, backend: Backend) -> None:
        self._backend = backend
        self._segmenters: Segmenters | None = None

    @property
    def info(self) -> BackendInfo:
        """Name, training data, device and licence of the model."""
        return self._backend.info

    def request(
        self,
        class_map: ArrayLike | None = None,
        instance_map: ArrayLike | None = None,
        tissue_map: ArrayLike | None = None,
        caption: str | None = None,
        *,
        guidance_scale: float | None = None,
        steps: int | None = None,
        strength: float = 1.0,
        fill: str = "original",
        feather: float = 0.0,
        seed: int = 0,
        variants: int = 1,
        image: ArrayLike | None = None,
        edit_mask: ArrayLike | None = None,
        strength_map: ArrayLike | None = None,
        mpp: float = 0.5,
        origin: tuple[int, int] = (0, 0),
        shape: tuple[int, int] | None = None,
        stain_from: ArrayLike | None = None,
        stain_mpp: float | None = None,
        region_captions: Mapping[str, str] | None = None,
        repaint: int = 1,
        jump_length: int = 1,
        guide: GuideArgument = None,
        reference: ArrayLike | None = None,
        reference_mpp: float | None = None,
        reference_strength: float = DEFAULT_REFERENCE,
        suggest: bool = True,
    ) -> EditRequest:
        """Return the request `__call__` would draw; parameters are the same."""
        if edit_mask is None and strength_map is not None:
            edit_mask = as_strength_map(strength_map) > 0
        if (image is None) != (edit_mask is None):
            given, lacking = ("image", "edit_mask") if edit_mask is None else ("edit_mask", "image")
            raise InvalidRequest(
                f"expected image and edit_mask together, got {given} alone; "
                f"give {lacking} to inpaint, or neither to generate"
            )
        maps = {
            "class_map": None if class_map is None else as_class_map(class_map),
            "instance_map": None if instance_map is None else as_instance_map(instance_map),
            "tissue_map": None if tissue_map is None else self._tissue(tissue_map),
            "image": None if image is None else as_rgb(image),
            "edit_mask": None if edit_mask is None else as_edit_mask(edit_mask),
            "strength_map": None if strength_map is None else as_strength_map(strength_map),
        }
        if instance_map is not None and class_map is None:
            maps["class_map"] = np.zeros(np.shape(instance_map), np.uint8)
        shapes = [array.shape[:2] for array in maps.values() if array is not None]
        if not shapes and shape is None:
            raise InvalidRequest(
                "expected a map, an image or a shape, got none; "
                "give shape=(height, width) to leave the nuclei to the model"
            )
        height, width = as_shape(shapes[0] if shape is None else _pair("shape", shape))
        request = EditRequest(
            kind=EditKind.GENERATE if image is None else EditKind.INPAINT,
            region=Region(0, *_pair("origin", origin), height, width),
            caption=caption or "",
            guidance_scale=self.info.guidance_scale if guidance_scale is None else guidance_scale,
            steps=self.info.steps if steps is None else steps,
            strength=strength,
            fill=as_fill(fill),
            feather=feather,
            seed=seed,
            variants=variants,
            mpp=mpp,
            region_captions=_captions(region_captions),
            steering=Steering(
                repaint=repaint,
                jump_length=jump_length,
                guide=as_guides(PYTHON_GUIDE if callable(guide) else guide),
                reference=None if reference is None else as_rgb(reference),
                reference_mpp=reference_mpp,
                reference_strength=reference_strength,
            ),
            model_name=self.info.name,
            model_revision=self.info.revision,
            **maps,  # type: ignore[arg-type]
        )
        if stain_from is not None:
            request = replace(request, stain=self._stain_of(stain_from, stain_mpp, request))
        remark_on(request, self.info, __file__)
        suggest = suggest and bool(self.info.paint)
        return completed(request, self.info.tissue_names) if suggest else request

    def suggest(
        self,
        class_map: ArrayLike | None = None,
        instance_map: ArrayLike | None = None,
        tissue_map: ArrayLike | None = None,
        caption: str | None = None,
        *,
        seed: int = 0,
        mpp: float = 0.5,
        origin: tuple[int, int] = (0, 0),
        shape: tuple[int, int] | None = None,
        variant: int = 0,
    ) -> Completion:
        """Return whole maps that hold what is painted: what `__call__` would draw.

        Tissue is suggested where nuclei are painted, nuclei where tissue is, and both from the
        caption where nothing is; each seed, and each variant of it, has another structure.
        Parameters are those of `__call__`, and `variant` the number of the variant that is meant.
        """
        remark_on_caption(caption or "", __file__)
        return complete_paint(
            class_map,
            instance_map,
            tissue_map,
            shape=None if shape is None else _pair("shape", shape),
            caption=caption or "",
            mpp=mpp,
            seed=structure_seed(seed, variant),
            origin=_pair("origin", origin),
            tissue_names=self.info.tissue_names,
        )

    def suggest_tissue(
        self,
        class_map: ArrayLike | None = None,
        instance_map: ArrayLike | None = None,
        caption: str | None = None,
        seed: int = 0,
        *,
        tissue_map: ArrayLike | None = None,
        mpp: float = 0.5,
    ) -> NDArray[np.uint8]:
        """Return a tissue map that fits painted nuclei, (h, w) uint8 of `info.tissue_names`.

        Parameters are those of `__call__`; tissue that is already painted stays.
        """
        found = self.suggest(class_map, instance_map, tissue_map, caption, seed=seed, mpp=mpp)
        return found.tissue_map

    def invent(self, shape: tuple[int, int], caption: str = "", **more: Any) -> invention.Invention:
        """Return tissue and nuclei made up by seed, in the tissues this model knows.

        Parameters are those of `napari_histodiff.invent`.
        """
        return invent(_pair("shape", shape), caption, tissue_names=self.info.tissue_names, **more)

    def draw(
        self,
        request: EditRequest,
        *,
        on_step: OnStep | None = None,
        guide: Callable[[Any], Any] | None = None,
    ) -> NDArray[np.uint8]:
        """Draw a request, (variants, h, w, 3) uint8.

        `guide` is the function of a request that is guided by "python", which cannot be kept in it.
        """
        return guided(self._backend, guide).render([request], on_step=on_step)[0]

    def evaluations(self, request: EditRequest) -> int:
        """Return how many network evaluations, and calls of `on_step`, `draw` will take."""
        return self._backend.evaluations(request)

    def __call__(
        self,
        class_map: ArrayLike | None = None,
        instance_map: ArrayLike | None = None,
        tissue_map: ArrayLike | None = None,
        caption: str | None = None,
        *,
        guidance_scale: float | None = None,
        steps: int | None = None,
        strength: float = 1.0,
        fill: str = "original",
        feather: float = 0.0,
        seed: int = 0,
        variants: int = 1,
        image: ArrayLike | None = None,
        edit_mask: ArrayLike | None = None,
        strength_map: ArrayLike | None = None,
        mpp: float = 0.5,
        origin: tuple[int, int] = (0, 0),
        shape: tuple[int, int] | None = None,
        stain_from: ArrayLike | None = None,
        stain_mpp: float | None = None,
        region_captions: Mapping[str, str] | None = None,
        repaint: int = 1,
        jump_length: int = 1,
        guide: GuideArgument = None,
        reference: ArrayLike | None = None,
        reference_mpp: float | None = None,
        reference_strength: float = DEFAULT_REFERENCE,
        suggest: bool = True,
        on_step: OnStep | None = None,
    ) -> NDArray[np.uint8]:
        """Draw tissue of any height and width.

        Parameters
        ----------
        class_map : (h, w) whole numbers 0-6, optional
            Lizard class of each nucleus pixel, 0 = none.
        instance_map : (h, w) whole numbers, optional
            Nucleus ids, 0 = background; separates nuclei that touch.
        tissue_map : (h, w) whole numbers, optional
            Ids of the model's tissue schema, `info.tissue_names`; 0 = unspecified.
        caption : str, optional
            For example "colon, high lymphocytes, gland".
        guidance_scale : float, optional
            1 = no guidance; higher follows maps and caption more closely; by default the model's.
        steps : int, optional
            Solver steps; by default the model's, `info.steps`.
        strength : float
            Below 1, inpainting starts from the noised image instead of noise alone.
        fill : str
            What that image holds under the edit mask: "original", what is there; "blur", the
            surroundings blurred into it; "border", the colours of its border carried inwards; or
            "noise", nothing, which is strength 1. See docs/inpainting.md.
        feather : float
            How far inside the edit mask old and new pixels fade into each other, in um.
        seed : int
            The same seed, place and inputs draw the same pixels.
        variants : int
            Independent draws, each with a suggestion of its own for what is not painted.
        image : (h, w, 3) RGB, optional
            Pixels to inpaint; those outside `edit_mask` come back byte for byte.
        edit_mask : (h, w) bool, optional
            True where pixels may change.
        strength_map : (h, w) float in 0-1, optional
            Strength of each pixel of the edit mask, in place of `strength`, at the nearest of 0.05,
            0.1 ... 1; pixels of 0 stay, so it may stand for the mask. Weaker parts wait until the
            schedule comes down to them; each strength may be one step more.
        mpp : float
            Micrometres per pixel.
        origin : (int, int)
            Row and column of the frame on the plane; moves its noise.
        shape : (int, int), optional
            Height and width, when neither map nor image tells.
        stain_from : (h, w, 3) RGB, optional
            Image whose stain is matched; without it that of the known pixels, else of a training
            slide that the caption and the seed choose.
        stain_mpp : float, optional
            Its micrometres per pixel, by default `mpp`. Of an image of another scale colours and
            contrast are matched; how sharp and fine it is to be, known pixels or slide say.
        region_captions : mapping of str to str, optional
            Captions of single tissues by their name, as {"gland": "high neutrophil"}; `caption` is
            for the rest. Each costs a pass more in the windows its tissue lies in.
        repaint, jump_length : int
            Of inpainting in three steps or more: how often each piece of `jump_length` steps is
            taken, so that old and new pixels come to agree (RePaint, arXiv 2201.09865); 1 = once.
        guide : str, mapping of str to float, or callable, optional
            What to draw more of, "lymphocyte" or {"lymphocyte": 2, "size": -1}, below 0 less, by
            the gradient of a score; names are those of `core.steering.guides`. Or a function that
            takes (b, 3, h, w) float32 RGB in [0, 1] of torch and returns one number an image to
            climb at strength 1; for another give `guide={"python": 2}` to `request` and the
            function to `draw`. In two steps or more.
        reference : (h, w, 3) RGB, optional
            A region whose stain is taken, and whose texture is drawn near; `stain_from` has the
            last word on stain.
        reference_mpp, reference_strength : float
            Its micrometres per pixel, by default `mpp`; and how near, 0 to 10, 0 = its stain alone.
        suggest : bool
            Whether what is not painted is suggested first, see `suggest`; else the model draws
            what lies between nuclei, and where nothing is painted all, from noise alone.
        on_step : callable, optional
            Called after every network evaluation.

        Returns
        -------
        (h, w, 3) uint8, or (variants, h, w, 3) when variants > 1

        Raises
        ------
        InvalidRequest
            When a map, an image or a number is invalid.
        OutOfMemory
            When the frame is too large for the device.
        """
        request = self.request(
            class_map,
            instance_map,
            tissue_map,
            caption,
            guidance_scale=guidance_scale,
            steps=steps,
            strength=strength,
            fill=fill,
            feather=feather,
            seed=seed,
            variants=variants,
            image=image,
            edit_mask=edit_mask,
            strength_map=strength_map,
            mpp=mpp,
            origin=origin,
            shape=shape,
            stain_from=stain_from,
            stain_mpp=stain_mpp,
            region_captions=region_captions,
            repaint=repaint,
            jump_length=jump_length,
            guide=guide,
            reference=reference,
            reference_mpp=reference_mpp,
            reference_strength=reference_strength,
            suggest=suggest,
        )
        images = self.draw(request, on_step=on_step, guide=guide if callable(guide) else None)
        return images if variants > 1 else images[0]

    def propose_tissue(self, image: ArrayLike, mpp: float = 0.5) -> NDArray[np.uint8]:
        """Return the tissue map of an image, (h, w) uint8, ids of `info.tissue_names`.

        Glands are found by a network, the rest by rules and by the nuclei that the judge finds.
        What is in doubt is 0, unspecified, and so are classes that the model does not know.

        Parameters
        ----------
        image : (h, w, 3) uint8
            A real image, or a drawn one.
        mpp : float
            Its micrometres per pixel, 0.05 to 4.

        Raises
        ------
        InvalidImage, InvalidRequest
            When the image or its scale is none.
        """
        found = self.segmenters()
        pixels = as_rgb(image)
        nuclei = found.judge.segment(pixels, mpp=mpp)
        ids = found.tissue.propose(pixels, mpp=mpp, nuclei=nuclei)
        return in_schema(ids, self.info.tissue_names)

    def anomaly_map(
        self,
        image: ArrayLike,
        mpp: float | None,
        *,
        settings: AnomalySettings | None = None,
        on_tile: OnTile | None = None,
    ) -> AnomalyMap:
        """Return where an image is unlike what the model draws.

        The image is drawn again under the paint that is proposed of it, from itself with a little
        noise, and compared with that in optical density. Large images are done in tiles. What it
        finds and what it does not is measured in docs/anomaly.md.

        Parameters
        ----------
        image : (h, w, 3) uint8
            A real image, 64 pixels a side or more, with tissue in it.
        mpp : float
            Its micrometres per pixel.
        settings : AnomalySettings, optional
            Share of noise, drawings, smoothing, caption; see `hd.AnomalySettings`.
        on_tile : callable, optional
            Called with (done, total) after each tile; may raise to stop.

        Raises
        ------
        InvalidImage
            When it is too small or has no tissue.
        InvalidRequest
            When the scale is not known, or beyond the model's.
        """
        from napari_histodiff.evaluation.maps.anomaly import AnomalySettings
        from napari_histodiff.evaluation.maps.running import anomaly_of
        from napari_histodiff.evaluation.maps.tiles import ArraySource

        pixels = as_rgb(image)
        return anomaly_of(
            ArraySource(pixels),
            Region(0, 0, 0, *pixels.shape[:2]),
            mpp,
            self.info,
            self.draw,
            lambda part, scale: self.segmenters().paint(part, scale),
            settings or AnomalySettings(),
            on_tile=on_tile,
        )

    def proposal_uncertainty(
        self, image: ArrayLike, mpp: float, *, on_view: OnView | None = None
    ) -> UncertainNuclei:
        """Propose the nuclei of an image eight times, turned and stained a little differently.

        Returns the nuclei of the mean with, for each, the share of proposals that agree on it, and
        for each pixel the entropy of what it is.

        Parameters
        ----------
        image : (h, w, 3) uint8
        mpp : float
            Its micrometres per pixel, 0.05 to 4.
        on_view : callable, optional
            Called with (done, total) after each proposal; may raise to stop.

        Raises
        ------
        InvalidImage, InvalidRequest
            When the image or its scale is none.
        """
        from napari_histodiff.segmenter.ensemble import Ensemble

        judge = self.segmenters().judge
        return Ensemble(judge).propose(as_rgb(image), mpp=mpp, on_step=on_view)

    def segmenters(self) -> Segmenters:
        """Return what proposes nuclei and tissue; loaded when first asked for."""
        from napari_histodiff.evaluation.maps.running import Segmenters

        if self._segmenters is None:
            self._segmenters = Segmenters.load(self.info.device.split()[0])
        return self._segmenters

    def _tissue(self, tissue_map: ArrayLike) -> NDArray[np.uint8]:
        if "tissue" in self.info.paint:
            return as_tissue_map(tissue_map, len(self.info.tissue_names))
        return in_schema(tissue_map, self.info.tissue_names)  # all of it is unspecified

    def _stain_of(
        self, image: ArrayLike, mpp: float | None, request: EditRequest
    ) -> tuple[float, ...]:
        from napari_histodiff.inpainting.rescaling import at_pixel_size
        from napari_histodiff.inpainting.stains import own_stain, reference_stain, stain_at

        if mpp is not None and not (isinstance(mpp, Real) and 0 < mpp < math.inf):
            raise InvalidRequest(
                f"expected stain_mpp as a number above 0, got {mpp!r}; give the micrometres per "
                "pixel of stain_from, or leave it out"
            )
        found = reference_stain(as_rgb(image))
        drawn_at = self.info.drawn_mpp(request.mpp) or request.mpp
        drawn = request if drawn_at == request.mpp else at_pixel_size(request, drawn_at)
        return stain_at(drawn_at, found, mpp, own_stain(drawn, self.info.stains))


def _pair(name: str, value: tuple[int, int]) -> tuple[int, int]:
    try:
        first, second = value
    except (TypeError, ValueError):
        raise InvalidRequest(
            f"expected {name} as two whole numbers, got {value!r}; give (rows, columns)"
        ) from None
    return first, second


def _captions(captions: Mapping[str, str] | None) -> tuple[tuple[str, str], ...]:
    if captions is not None and not isinstance(captions, Mapping):
        raise InvalidRequest(
            f'expected captions by tissue, got {captions!r}; write for example {{"gland": "high '
            'neutrophil"}'
        )
    return tuple((captions or {}).items())
