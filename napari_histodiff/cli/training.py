"""Commands that make and judge models: pack, train(-judge, -gland), distil, evaluate(-judge)."""

from __future__ import annotations

import logging
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import click

from napari_histodiff.cli.options import (
    FILE,
    FOLDER,
    INTERRUPTED,
    NEW_FILE,
    check_new,
    device_option,
    overwrite_option,
)
from napari_histodiff.cli.texts import TEXT
from napari_histodiff.core.requests import DEFAULT_GUIDANCE, DEFAULT_STEPS

__all__ = ["COMMANDS"]


@click.command()
@click.argument("data", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.argument("output", type=NEW_FILE)
@click.option("--split", type=click.Choice(["train", "test"]), default="train")
@click.option("--fine", is_flag=True, help="Only what was scanned at 40x, at that scale.")
@click.option("--label", is_flag=True, help="Label tissue, and nuclei where nobody did.")
@click.option("--mpp", type=float, help="Of your own images: um per pixel, as of train.")
@click.option("--organ", type=TEXT, help="Of your own images: organ where the caption names none.")
@overwrite_option
def pack(
    data: Path,
    output: Path,
    split: Any,
    fine: bool,
    label: bool,
    mpp: float | None,
    organ: str | None,
    overwrite: bool,
) -> None:
    """Collect the images of the data folder DATA into the training file OUTPUT.

    DATA holds splits.json, or is a folder of your own annotated images, as train reads it: a tenth
    of its slides is the split "test".
    """
    own = not (data / "splits.json").is_file()
    if own and fine:
        raise click.UsageError(f"--fine is for a folder with splits.json, which {data} lacks")
    if not own and (mpp, organ) != (None, None):
        raise click.UsageError("--mpp and --organ are for a folder without splits.json")
    check_new(output, overwrite)
    change = None
    if label:
        from napari_histodiff.datasets.tissue_labels import label_sample
        from napari_histodiff.segmenter.model import Judge
        from napari_histodiff.segmenter.tissue import TissueSegmenter

        segment, opinion = Judge.load().segment, TissueSegmenter.load().gland
        change = partial(label_sample, segment=segment, opinion=opinion)
    if own:
        from napari_histodiff.datasets.folders import pack_split

        click.echo(pack_split(data, output, split, mpp=mpp, organ=organ, change=change), err=True)
    else:
        from napari_histodiff.datasets.packing import pack as pack_data

        with _told():
            pack_data(data, output, split=split, fine=fine, change=change)
    click.echo(output)


@click.command(epilog="Fine-tune: histodiff train --from bundled --data FOLDER -o OUTPUT")
@click.argument("config", type=FILE, required=False)
@click.option("--from", "init_from", help='"bundled" or a model folder to train further.')
@click.option("--data", type=FOLDER, help="Folder of annotated images.")
@click.option("--mpp", type=float, help="Micrometres per pixel; else of each file, else 0.5.")
@click.option("--organ", type=TEXT, help="Organ of images whose caption names none.")
@click.option("--hours", default=1.0, show_default=True, help="Longest time.")
@click.option("--samples", default=200_000, show_default=True, help="Most training crops.")
@device_option
@click.option("-o", "--output", type=FOLDER, help="Folder of the run; the model is in pipeline/.")
@click.option("--resume", is_flag=True, help="Go on from the last checkpoint.")
def train(config: Path | None, init_from: str | None, resume: bool, **settings: Any) -> None:
    """Train a model as the JSON file CONFIG says, or fine-tune one on your own images."""
    from napari_histodiff.diffusion.training.config import TrainingConfig
    from napari_histodiff.diffusion.training.flow_matching import train as run_training

    if config is not None:
        given = ("data", "output")
        if init_from is not None or any(settings[name] is not None for name in given):
            raise click.UsageError("give CONFIG, or --from, --data and --output, not both")
        _run(lambda: run_training(TrainingConfig.load(config), resume=resume), str(config))
        return
    from napari_histodiff.diffusion.training.fine_tuning import fine_tune
    from napari_histodiff.segmenter.tissue import TissueSegmenter

    data, output = settings.pop("data"), settings.pop("output")
    if output is None or (data is None and not resume):
        raise click.UsageError("give CONFIG, or --from, --data and --output")
    start = init_from or "bundled"
    # What is resumed is packed already.
    opinion = None if resume else TissueSegmenter.load(device=settings["device"]).gland
    _run(
        lambda: fine_tune(
            data or output, output, init_from=start, resume=resume, opinion=opinion, **settings
        ),
        f"-o {output}",
    )


@click.command()
@click.argument("config", type=FILE)
@click.option("--resume", is_flag=True, help="Go on from the last checkpoint.")
def distil(config: Path, resume: bool) -> None:
    """Teach a trained model to draw in two to four steps, as the JSON file CONFIG says."""
    from napari_histodiff.diffusion.training.config import TrainingConfig
    from napari_histodiff.diffusion.training.consistency import distil as run_distillation

    _run(lambda: run_distillation(TrainingConfig.load(config), resume=resume), str(config))


@click.command("train-judge")
@click.argument("data", type=FILE)
@click.argument("output", type=FOLDER)
@click.option("--hours", default=1.0, show_default=True, help="Longest time.")
@click.option("--samples", default=100_000, show_default=True, help="Most training crops.")
@device_option
def train_judge(data: Path, output: Path, **settings: Any) -> None:
    """Train a judge on the packed file DATA: it finds and classes nuclei."""
    from napari_histodiff.segmenter.training import train_judge as run_training

    click.echo(run_training(data, output, **settings))


@click.command("train-gland")
@click.argument("data", type=FILE)
@click.argument("output", type=FOLDER)
@click.option("--hours", default=0.2, show_default=True, help="Longest time.")
@click.option("--samples", default=25_000, show_default=True, help="Most training crops.")
@device_option
def train_gland(data: Path, output: Path, **settings: Any) -> None:
    """Train the network that finds glands on the packed file DATA."""
    from napari_histodiff.segmenter.gland_training import train_gland as run_training

    click.echo(run_training(data, output, **settings))


@click.command()
@click.argument("data", type=click.Path(exists=True, path_type=Path))
@click.option("-o", "--output", type=FOLDER, default=Path("evaluation"), help="Folder.")
@click.option(
    "--images",
    type=FOLDER,
    multiple=True,
    help="Folder of a model's images; DATA then holds real.",
)
@click.option("--crop", default=128, show_default=True, help="With --images, pixels of a crop.")
@click.option("--model", type=FOLDER, help="Model folder; the bundled model by default.")
@click.option("--judge", type=FOLDER, help="Judge folder; the bundled judge by default.")
@device_option
@click.option(
    "--train",
    type=click.Path(exists=True, path_type=Path),
    help="Packed training file, or with --images a folder, to look for copied tissue.",
)
@click.option("--tiles", default=48, show_default=True, help="Tiles of the main figures.")
@click.option("--sweep-tiles", default=12, show_default=True, help="Tiles of each sweep.")
@click.option(
    "--part", type=click.Choice(["final", "choice", "all"]), default="final", show_default=True
)
@click.option("--guidance", default=DEFAULT_GUIDANCE, show_default=True, help="1 = no guidance.")
@click.option("--steps", default=DEFAULT_STEPS, show_default=True, help="Solver steps.")
@click.option(
    "--stain", type=click.Choice(["reference", "sampled"]), default="reference", show_default=True
)
@click.option(
    "--tissue", type=click.Choice(["none", "given", "suggested"]), default="none", show_default=True
)
@click.option("--frames", default=2, show_default=True, help="Large frames to look for seams.")
@click.option("--inception", type=FILE, help="Weights of the FID Inception network.")
def evaluate(
    data: Path,
    output: Path,
    model: Path | None,
    judge: Path | None,
    device: str,
    train: Path | None,
    images: tuple[Path, ...],
    crop: int,
    **settings: Any,
) -> None:
    """Draw held-out tiles of the packed file DATA and measure them: report, figures, sheets.

    With --images, nothing is drawn: folders of anybody's images are measured against DATA, a folder
    of real ones.
    """
    if images or data.is_dir():
        _compare_images(
            *(data, images, output),
            train=train,
            size=crop,
            judge=judge,
            device=device,
            inception_weights=settings["inception"],
        )
        return
    from napari_histodiff.evaluation.options import StudyOptions

    options = StudyOptions(
        default_steps=settings.pop("steps"),
        inception_weights=settings.pop("inception"),
        **settings,
    )
    from napari_histodiff.diffusion.backend import DiffusionBackend
    from napari_histodiff.evaluation.study import run_study
    from napari_histodiff.segmenter.model import Judge
    from napari_histodiff.segmenter.tissue import TissueSegmenter

    study = run_study(
        DiffusionBackend.load(model, device),
        Judge.load(judge, device),
        data,
        output,
        train=train,
        options=options,
        tissue=TissueSegmenter.load(device=device),
    )
    click.echo(study.summary())
    click.echo(output / "report.html")


def _compare_images(
    real: Path,
    generated: tuple[Path, ...],
    output: Path,
    *,
    judge: Path | None,
    device: str,
    **settings: Any,
) -> None:
    if not generated:
        raise click.UsageError(
            "DATA is a folder: give the file that histodiff pack makes of annotated images, or "
            "--images FOLDER, whose images are measured against those of DATA"
        )
    from napari_histodiff.evaluation.pages import plain_lines
    from napari_histodiff.segmenter.model import Judge
    from napari_histodiff.studies.folders import compare_folders

    tables = compare_folders(Judge.load(judge, device), real, generated, output, **settings)
    for table in tables:
        click.echo("\n".join([table.title, *plain_lines(table), ""]))
    click.echo(output / "report.html")


@click.command("evaluate-judge")
@click.argument("data", type=FILE)
@click.option("--judge", type=FOLDER, help="Judge folder; the bundled judge by default.")
@device_option
@click.option("--views", is_flag=True, help="Find nuclei in the mean of eight views.")
@click.option("-o", "--output", type=FOLDER, help="Folder for judge.md and figures.json.")
def evaluate_judge(
    data: Path, judge: Path | None, device: str, views: bool, output: Path | None
) -> None:
    """Measure a judge on the annotated nuclei of the packed file DATA."""
    from napari_histodiff.evaluation.judge_quality import measure_judge
    from napari_histodiff.segmenter.model import Judge

    click.echo(measure_judge(Judge.load(judge, device), data, output, views=views).table())


class _Echo(logging.Handler):
    """Prints what a training says of its data beside the bar."""

    def emit(self, record: logging.LogRecord) -> None:
        click.echo(self.format(record), err=True)


@contextmanager
def _told() -> Iterator[None]:
    logger, echo = logging.getLogger("napari_histodiff"), _Echo()
    before = logger.level
    logger.addHandler(echo)
    logger.setLevel(logging.INFO)
    try:
        yield
    finally:
        logger.removeHandler(echo)
        logger.setLevel(before)


def _run(work: Callable[[], Path], arguments: str) -> None:
    command = click.get_current_context().info_name
    # Ctrl-Break ends trainings started from a window on Windows; a shell's & hides Ctrl-C.
    signal.signal(getattr(signal, "SIGBREAK", signal.SIGINT), signal.default_int_handler)
    try:
        with _told():
            folder = work()
        click.echo(folder)
    except KeyboardInterrupt:
        click.echo(f"Stopped; go on with: histodiff {command} {arguments} --resume", err=True)
        raise click.exceptions.Exit(INTERRUPTED) from None


COMMANDS = (pack, train, distil, train_judge, train_gland, evaluate, evaluate_judge)
