"""Regions in XML, as ImageScope and ASAP write them."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from napari_histodiff.core.errors import InvalidMap, TrainingError
from napari_histodiff.core.geometry import Region
from napari_histodiff.core.maps import TISSUE_NAMES
from napari_histodiff.datasets.annotations.reading import annotations_of
from napari_histodiff.datasets.geojson_objects import UNNAMED, GeoObject
from napari_histodiff.datasets.outlines import Outline
from napari_histodiff.datasets.tissue.regions import read_regions

APERIO = """<?xml version="1.0" encoding="UTF-8"?>
<Annotations MicronsPerPixel="0.2500">
 <Annotation Id="1" Name="" ReadOnly="0" Type="4" LineColor="65280" Visible="1">
  <Attributes><Attribute Name="Description" Id="0" Value="Tumor"/></Attributes>
  <Regions><RegionAttributeHeaders/>
   <Region Id="1" Type="0" Zoom="0.1" Text="" NegativeROA="0" Analyze="1">
    <Attributes><Attribute Name="Note" Value="stroma"/></Attributes>
    <Vertices><Vertex X="10" Y="10" Z="0"/><Vertex X="90" Y="10"/><Vertex X="90" Y="70"/>
     <Vertex X="10" Y="70"/></Vertices></Region>
   <Region Id="2" Type="1" Text="" NegativeROA="1"><Vertices>
     <Vertex X="20" Y="20"/><Vertex X="40" Y="40"/></Vertices></Region>
   <Region Id="3" Type="2" Text="Stroma"><Vertices>
     <Vertex X="100" Y="20"/><Vertex X="140" Y="60"/></Vertices></Region>
   <Region Id="4" Type="4" Text="ruler"><Vertices>
     <Vertex X="1" Y="2"/><Vertex X="3" Y="4"/></Vertices></Region>
  </Regions><Plots/></Annotation>
 <Annotation Id="2" Name="Layer 2"><Regions>
   <Region Id="1" Type="0"><Vertices>
     <Vertex X="150,5" Y="5"/><Vertex X="160" Y="5"/><Vertex X="160" Y="15"/></Vertices></Region>
   <Region Id="2" Type="0" NegativeROA="1"><Vertices>
     <Vertex X="500" Y="5"/><Vertex X="510" Y="5"/><Vertex X="510" Y="15"/></Vertices></Region>
  </Regions></Annotation>
</Annotations>"""

ASAP = """<?xml version="1.0"?>
<ASAP_Annotations><Annotations>
 <Annotation Name="Annotation 0" Type="Polygon" PartOfGroup="Necrosis" Color="#F4F"><Coordinates>
  <Coordinate Order="0" X="10" Y="10"/><Coordinate Order="1" X="90" Y="10"/>
  <Coordinate Order="2" X="90" Y="70"/><Coordinate Order="3" X="10" Y="70"/></Coordinates>
 </Annotation>
 <Annotation Name="Annotation 1" Type="Polygon" PartOfGroup="_2" Color="#F4FA58"><Coordinates>
  <Coordinate Order="0" X="20" Y="20"/><Coordinate Order="1" X="40" Y="20"/>
  <Coordinate Order="2" X="40" Y="40"/><Coordinate Order="3" X="20" Y="40"/></Coordinates>
 </Annotation>
 <Annotation Name="mucus" Type="Spline" PartOfGroup="None"><Coordinates>
  <Coordinate Order="0" X="100" Y="10"/><Coordinate Order="1" X="120" Y="10"/>
  <Coordinate Order="2" X="110" Y="30"/></Coordinates>
 </Annotation>
 <Annotation Name="Annotation 3" Type="Dot" PartOfGroup="None"><Coordinates>
  <Coordinate Order="0" X="5" Y="5"/></Coordinates>
 </Annotation>
 <Annotation Name="Annotation 4" Type="Polygon" PartOfGroup="_0"><Coordinates>
  <Coordinate Order="0" X="200" Y="10"/><Coordinate Order="1" X="220" Y="10"/>
  <Coordinate Order="2" X="210" Y="30"/></Coordinates>
 </Annotation>
 </Annotations><AnnotationGroups><Group Name="Necrosis" PartOfGroup="None"><Attributes/></Group>
 </AnnotationGroups></ASAP_Annotations>"""


def read(folder: Path, text: str, mpp: float | None = None) -> tuple[list[GeoObject], Counter[str]]:
    path = folder / "slide.xml"
    path.write_text(text)
    notes: Counter[str] = Counter()
    return list(annotations_of(path, notes, mpp)), notes


def area(found: GeoObject) -> float:
    return Outline(found.polygons).area


def test_layers_and_regions_of_aperio(tmp_path: Path) -> None:
    objects, notes = read(tmp_path, APERIO)
    assert [found.name for found in objects] == ["Tumor", "Stroma", UNNAMED]
    assert {found.kind for found in objects} == {"annotation"}
    tumour, ellipse, other = objects
    assert area(tumour) == 80 * 60 - 20 * 20
    assert area(ellipse) == pytest.approx(np.pi * 20 * 20, rel=0.01)
    np.testing.assert_array_equal(other.polygons[0][0][0], (150.5, 5))
    assert notes == {"rulers, left out": 1, "holes outside all regions, left out": 1}


def test_regions_drawn_on_the_slide_at_another_size(tmp_path: Path) -> None:
    objects, notes = read(tmp_path, APERIO, mpp=0.5)
    assert area(objects[0]) == (80 * 60 - 20 * 20) / 4
    assert notes["drawn at 0.25 um per pixel, brought to 0.5"] == 1
    objects, notes = read(tmp_path, APERIO, mpp=0.252)
    assert area(objects[0]) == 80 * 60 - 20 * 20
    assert "brought" not in str(notes)


def test_groups_of_asap(tmp_path: Path) -> None:
    objects, notes = read(tmp_path, ASAP)
    assert [found.name for found in objects] == ["Necrosis", "mucus", "tumor"]
    assert area(objects[0]) == 80 * 60 - 20 * 20
    assert notes == {"points, left out": 1, "splines, taken straight between their points": 1}


@pytest.mark.parametrize("text", [APERIO, ASAP], ids=["aperio", "asap"])
def test_they_are_tissue_of_a_frame(tmp_path: Path, text: str) -> None:
    path = tmp_path / "a.xml"
    path.write_text(text)
    regions = read_regions(path)
    whole = regions.within(Region(0, 0, 0, 80, 240))
    assert whole[15, 15] == regions.tissue[0]
    assert whole[30, 30] == 0
    half = regions.within(Region(1, 0, 0, 40, 120))
    assert (half == whole[::2, ::2]).mean() > 0.98
    names = {TISSUE_NAMES[number] for number in regions.tissue}
    assert names == ({"gland", "stroma"} if text is APERIO else {"necrosis", "mucus", "gland"})


def test_what_has_no_name_is_said(tmp_path: Path) -> None:
    path = tmp_path / "a.xml"
    path.write_text(APERIO)
    assert read_regions(path).left_out[f"class {UNNAMED}"] == 1


LAUGHS = '<!DOCTYPE a [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;">]><Annotations>&b;</Annotations>'
OUTSIDE = '<!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/passwd">]><Annotations>&x;</Annotations>'


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (LAUGHS, "document type"),
        (OUTSIDE, "document type"),
        ("<!DOCTYPE html><html></html>", "document type"),
        ("<svg/>", "<svg>"),
        (APERIO[:-40], "unclosed|no element|not well-formed"),
        ("<Annotations><Annotation></Annotations>", "mismatched"),
        ('<?xml version="1.0" encoding="nonsense"?><Annotations/>', "encoding"),
    ],
)
def test_what_is_refused(tmp_path: Path, text: str, told: str) -> None:
    with pytest.raises(TrainingError, match=told):
        read(tmp_path, text)
    with pytest.raises(InvalidMap, match="export them again"):
        read_regions(tmp_path / "slide.xml")


def test_entities_of_another_encoding_are_refused_as_well(tmp_path: Path) -> None:
    path = tmp_path / "a.xml"
    path.write_bytes(LAUGHS.encode("utf-16"))
    with pytest.raises(TrainingError, match="document type"):
        list(annotations_of(path, Counter()))
    path.write_bytes(ASAP.replace('<?xml version="1.0"?>', "").encode("utf-16"))
    assert len(list(annotations_of(path, Counter()))) == 3


def test_nesting_and_numbers_of_no_slide_do_no_harm(tmp_path: Path) -> None:
    deep = "<Annotations>" + "<Annotation>" * 20_000 + "</Annotation>" * 20_000 + "</Annotations>"
    assert read(tmp_path, deep) == ([], Counter())
    for wild in ("nan", "inf", "1e999", "", "x", "9" * 5000):
        text = APERIO.replace('X="10"', f'X="{wild}"')
        assert all(np.isfinite(o.polygons[0][0]).all() for o in read(tmp_path, text)[0])


@settings(max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.sampled_from([APERIO, ASAP]), st.data())
def test_damaged_files_are_read_or_refused(tmp_path: Path, text: str, data: st.DataObject) -> None:
    body = bytearray(text.encode())
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(body) - 1))
        body[at : at + data.draw(st.integers(0, 30))] = data.draw(st.binary(max_size=4))
    path = tmp_path / "a.xml"
    path.write_bytes(bytes(body))
    try:
        objects = list(annotations_of(path, Counter()))
    except TrainingError:
        return
    assert all(len(ring) > 2 for found in objects for rings in found.polygons for ring in rings)
