"""What the dock does for a model of other makers: its own steps, its captions, its paint."""

from __future__ import annotations

from dataclasses import replace

from napari_histodiff.core.captions import parse_caption
from napari_histodiff.ui.generation.plan import class_remark, tissue_remark
from napari_histodiff.ui.generation.request import own_settings, schema_of, takes_paint
from napari_histodiff.ui.widgets.caption_report import report_lines
from tests.fakes import FAKE_INFO

FOREIGN = replace(FAKE_INFO, revision="1", steps=30, guidance_scale=5.0, paint=("tissue",))


def test_another_model_brings_its_steps_and_guidance_once() -> None:
    assert own_settings(FAKE_INFO, FOREIGN) == {"steps": 30, "guidance_scale": 5.0}
    assert own_settings(FOREIGN, FAKE_INFO) == {"steps": 2, "guidance_scale": 1.0}
    assert own_settings(None, FOREIGN) == {}  # what was chosen last time stays
    assert own_settings(FOREIGN, FOREIGN) == {}
    assert own_settings(FAKE_INFO, replace(FAKE_INFO, revision="2")) == {}


def test_paint_that_a_model_does_not_take_is_marked() -> None:
    assert "takes no nuclei" in class_remark("epithelial", FOREIGN)
    assert tissue_remark("gland", FOREIGN) == ""
    nuclei = replace(FOREIGN, paint=("nuclei",), tissue_names=("unspecified",))
    assert "takes no tissue" in tissue_remark("gland", nuclei)
    assert takes_paint(None)
    assert not takes_paint(replace(FOREIGN, paint=()))
    assert schema_of(nuclei) == ("unspecified",)


def test_the_caption_box_says_who_reads_the_caption() -> None:
    ours, free = (parse_caption(t).report for t in ("colon, gland", "a moody infiltrate"))
    assert "as a sentence" in str(report_lines(ours, captions="text"))
    assert "as it is written" in str(report_lines(free, captions="text"))
    assert "takes no caption" in str(report_lines(ours, captions="none"))
    assert "Ignored" in str(report_lines(free))
