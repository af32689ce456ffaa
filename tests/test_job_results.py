"""What jobs write and say, in detail: what mutations of them showed to be untested."""

import io
import json
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from skimage import data

import deepix
from deepix import DeepixError, Mosaic
from deepix.jobs import FindJob, RestoreJob, names, run
from deepix.jobs.inputs import Input, listed
from deepix.jobs.job import STANDARD
from deepix.jobs.names import Destination
from deepix.options import Options

AREA = (30, 40, 96, 80, 12)
NAMED = Options(areas=(AREA,))
SMOOTH = Options(areas=(AREA,), method="smooth")


@pytest.fixture(scope="module")
def pixels():
    return deepix.pixelate(data.chelsea(), [Mosaic.rectangle(*AREA)])


@pytest.fixture
def photo(pixels, tmp_path):
    Image.fromarray(pixels).save(tmp_path / "a.png")
    return tmp_path / "a.png"


def test_each_result_is_in_its_own_file(photo, pixels, tmp_path):
    job = RestoreJob(
        source=photo,
        output=tmp_path / "o.png",
        compare=tmp_path / "c.png",
        uncertainty=tmp_path / "u.png",
        raw=True,
        options=NAMED,
    )
    result = run(job)
    assert result.status == "done"
    expected = deepix.restore(pixels, areas=[AREA])
    np.testing.assert_array_equal(np.asarray(Image.open(tmp_path / "o.png")), expected.image)
    raw = np.asarray(Image.open(tmp_path / "u.png")).astype(np.float64)
    np.testing.assert_allclose(raw, expected.uncertainty[..., 0] * 256, atol=0.5)  # units of 1/256 level
    assert raw.max() > 256
    with Image.open(tmp_path / "c.png") as sheet:
        assert sheet.width >= 3 * pixels.shape[1]  # input | restored | uncertainty


def test_sixteen_bits_have_uncertainties_in_their_own_levels(tmp_path):
    gray = data.camera()[:200, :200].astype(np.uint16) * 257
    area = (20, 30, 96, 80, 8)
    pixels = deepix.pixelate(gray, [Mosaic.rectangle(*area)])
    Image.fromarray(pixels).save(tmp_path / "a.png")
    options = Options(areas=(area,))
    job = RestoreJob(
        source=tmp_path / "a.png", output=tmp_path / "o.png", uncertainty=tmp_path / "u.png", raw=True, options=options
    )
    assert run(job).status == "done"
    expected = deepix.restore(pixels, areas=[area]).uncertainty
    np.testing.assert_allclose(np.asarray(Image.open(tmp_path / "u.png")), expected, atol=0.5)
    assert expected.max() > 257


def test_a_file_is_restored_to_standard_output(photo, pixels, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    before = sorted(tmp_path.iterdir())
    job = RestoreJob(source=photo, output=STANDARD, options=SMOOTH)
    sink = io.BytesIO()
    result = run(job, stdout=sink)
    assert (result.status, dict(result.written)) == ("done", {"output": STANDARD})
    expected = deepix.restore(pixels, areas=[AREA], method="smooth").image
    np.testing.assert_array_equal(np.asarray(Image.open(sink)), expected)
    monkeypatch.setattr("sys.stdout", None)
    assert run(job, stdout=io.BytesIO()).status == "done"  # another stream than the closed one
    assert run(job).error.endswith("standard output is closed")
    assert sorted(tmp_path.iterdir()) == before


def test_results_say_in_plain_values_what_became_of_a_file(photo, tmp_path):
    start = time.perf_counter()
    result = run(RestoreJob(source=photo, output=tmp_path / "o.png", options=NAMED))
    assert 0 < result.seconds <= time.perf_counter() - start
    told = json.loads(json.dumps(result.to_dict()))
    assert told["output"] == str(tmp_path / "o.png")
    assert told["mosaics"][0]["uncertainty"] == round(result.uncertainties[0], 3)
    assert told["seconds"] == round(result.seconds, 3)
    assert "error" not in told
    gone = tmp_path / "gone.png"
    failed = run(FindJob(source=gone)).to_dict()
    assert set(failed) == {"input", "error"}
    assert failed["error"].count(str(gone)) == 1
    outside = Options(areas=((0, 0, 9000, 5),))
    text = run(RestoreJob(source=photo, output=tmp_path / "x.png", options=outside)).error
    assert text.startswith(f"{photo}: the area 0,0,9000,5 does not lie in the picture")
    assert text.count(str(photo)) == 1


def test_a_side_result_without_a_suffix_is_a_png():
    one = Input(Path("x/a.jpg"), Path("a.jpg"))
    where = Destination(Path("y/doubt"), folder=False)
    (settled,) = names.for_restoring([one], uncertainty=where)
    assert settled.uncertainty == Path("y/doubt.png")
    (settled,) = names.for_finding([one], where)  # its only name
    assert settled == Path("y/doubt.png")


def test_one_named_file_is_single_and_two_are_not(photo, tmp_path):
    assert listed([photo]).single
    assert not listed([photo, photo]).single
    assert not listed([photo, tmp_path / "gone.png"]).single
    assert not listed([tmp_path]).single


def test_cells_may_be_as_large_as_the_longer_side():
    for shape in ((40, 100), (100, 40, 3)):
        Options(cell=100).check_cells(shape)
        with pytest.raises(DeepixError, match="cells of 101 pixels are larger"):
            Options(areas=((0, 0, 5, 5, 101),)).check_cells(shape)


def test_a_speck_is_one_beside_the_largest_cells_of_the_mask():
    areas = [Mosaic.rectangle(20, 20, 90, 90, 6), Mosaic.rectangle(150, 20, 200, 160, 20)]
    pixels = deepix.pixelate(data.chelsea(), areas)
    mask = np.zeros(pixels.shape[:2], bool)
    for m in areas:
        mask[m.box] = True
    mask[220:241, 40:61] = True  # 21 x 21: more than 2 x 2 of the small cells, less than of the large ones
    result = deepix.restore(pixels, mask=mask, method="smooth")
    assert [m.grid for m in result.mosaics] == [m.grid for m in areas]
    assert result.notes == ("1 part of the mask is smaller than 2 x 2 cells and is left as it is",)


def test_areas_may_touch_the_pictures_edges_and_be_one_pixel_wide(pixels):
    height, width = pixels.shape[:2]
    corner = (width - 24, height - 24, 24, 24, 12)
    result = deepix.restore(pixels, areas=[(0, 0, 1, 12, 12), (20, 0, 12, 1, 12), corner], method="smooth")
    assert [m.width * m.height for m in result.mosaics] == [12, 12, 576]
    for outside in ((width - 23, 0, 24, 24, 12), (0, height - 23, 24, 24, 12), (0, 0, 0, 5, 5), (-1, 0, 5, 5, 5)):
        with pytest.raises(DeepixError, match="does not lie in the picture"):
            deepix.restore(pixels, areas=[outside], method="smooth")
