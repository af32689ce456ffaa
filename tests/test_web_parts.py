"""Parts of the page's server: names, strokes, outlines, commands, who may ask."""

from __future__ import annotations

import asyncio
import shlex
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageDraw

from deepix.errors import DeepixError
from deepix.mosaic import Grid, Mosaic
from deepix.web import commands, strokes, uploads, views
from deepix.web.guard import HEADERS, Guard
from deepix.web.outlines import outline

# ── the start ────────────────────────────────────────────────────────────────────────────────────


def test_nothing_heavy_is_imported_before_the_page_is_served():
    heavy = ("scipy", "onnxruntime", "torch", "deepix.finder", "deepix.pipeline", "deepix.restorer.network")
    code = f"import sys, deepix.web.serving; print([name for name in {heavy} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


# ── names ────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("given_", "name"),
    [
        ("photo.jpg", "photo.jpg"),
        ("../../etc/passwd", "passwd"),
        ("C:\\Users\\me\\a b.png", "a b.png"),
        ("a/..", "picture"),
        ("", "picture"),
        ("\0\n\x1b[31mred.png", "[31mred.png"),
        ("<img src=x onerror=alert(1)>.png", "<img src=x onerror=alert(1)>.png"),
        ("x" * 500 + ".png", "x" * 116 + ".png"),
        ("‮gnp.exe", "gnp.exe"),
    ],
)
def test_a_visitors_name_is_a_name_only(given_, name):
    assert uploads.name_of(given_) == name


@given(st.text())
def test_where_a_file_is_put_does_not_depend_on_its_name(tmp_path_factory, text):
    folder = tmp_path_factory.getbasetemp()
    place = uploads.place_of(folder, uploads.name_of(text))
    assert place.parent == folder
    assert place.stem == "original"


# ── strokes ──────────────────────────────────────────────────────────────────────────────────────


def test_strokes_are_a_mask_at_the_pictures_own_size():
    painted = strokes.strokes_of([{"radius": 10, "points": [[30, 50], [80, 50]]}])
    mask = strokes.mask(painted, (3000, 4000, 3))
    assert mask.shape == (3000, 4000)
    y, x = np.mgrid[:3000, :4000]
    distance = np.hypot(x - np.clip(x, 30, 80), y - 50)
    assert mask[distance < 9].all()
    assert not mask[distance > 11.5].any()


@pytest.mark.parametrize(
    "described",
    [
        *(None, [], 3, "abc", [{}]),
        [{"radius": 1, "points": []}],
        [{"radius": 0, "points": [[1, 1]]}],
        [{"radius": "x", "points": [[1, 1]]}],
        [{"radius": 1e9, "points": [[1, 1]]}],
        [{"radius": 1, "points": [[1]]}],
        [{"radius": 1, "points": [[float("nan"), 1]]}],
        [{"radius": 1, "points": [[1, 1]] * 20_001}],
    ],
)
def test_what_is_no_stroke_is_refused_in_one_line(described):
    with pytest.raises(DeepixError) as error:
        strokes.strokes_of(described)
    assert "\n" not in str(error.value)


def test_strokes_outside_the_picture_are_refused():
    with pytest.raises(DeepixError, match="outside"):
        strokes.mask(strokes.strokes_of([{"radius": 5, "points": [[1e300, -1e300]]}]), (40, 60))


# ── outlines ─────────────────────────────────────────────────────────────────────────────────────


def filled(path: str, shape: tuple[int, int]) -> np.ndarray:
    """Draw the rectangles of a path: M x y h w v h h -w z."""
    result = np.zeros(shape, int)
    for one in path.split("z")[:-1]:
        start, width, rest = one.removeprefix("M").split("h")[0], one.split("h")[1].split("v")[0], one.split("v")[1]
        x, y = (int(v) for v in start.split())
        result[y : y + int(rest.split("h")[0]), x : x + int(width)] += 1
    return result


@given(st.integers(1, 2**30 - 1), st.integers(0, 9), st.integers(0, 9))
def test_the_outline_of_a_mask_is_that_mask(bits, x, y):
    mask = np.array(list(f"{bits:030b}"), int).reshape(5, 6) > 0
    m = Mosaic.from_mask(mask, Grid(0, 0, 4, 4), x=x, y=y)
    inside, edges = outline(m)
    drawn = filled(inside, (20, 20))
    assert drawn.max() == 1
    expected = np.zeros((20, 20), bool)
    expected[y : y + 5, x : x + 6] = mask
    assert (drawn > 0).tolist() == expected.tolist()
    length = sum(int(part) for part in edges.replace("M", " M").replace("h", " ").replace("v", " ").split()[2::3])
    padded = np.pad(mask, 1).astype(int)
    # the line around a rectangle is closed and goes there and back
    if m.mask is not None:
        assert length == np.abs(np.diff(padded, axis=0)).sum() + np.abs(np.diff(padded, axis=1)).sum()


# ── views ────────────────────────────────────────────────────────────────────────────────────────


def test_a_part_of_a_view_is_the_picture_pixel_by_pixel(tmp_path):
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, (300, 2000, 3), np.uint8)
    views.store(Image.fromarray(pixels), tmp_path, "before")
    with Image.open(views.preview(tmp_path, "before")) as small:
        assert small.size == (views.PREVIEW, 270)
    for box in ((0, 0, 2000, 300), (700, 20, 33, 44), (-5, -5, 20, 20), (1990, 290, 500, 500)):
        (tmp_path / "part.png").write_bytes(views.part(tmp_path, "before", box))
        x, y, w, h = box
        expected = pixels[max(0, y) : y + h, max(0, x) : x + w]
        assert np.array_equal(np.asarray(Image.open(tmp_path / "part.png")), expected)
    with pytest.raises(ValueError, match="outside"):
        views.part(tmp_path, "before", (2000, 0, 5, 5))


def test_doubt_is_coloured_inside_the_areas_only():
    circle = Image.new("1", (40, 30))
    ImageDraw.Draw(circle).ellipse((5, 5, 20, 20), 1)
    m = Mosaic.from_mask(np.asarray(circle), Grid(0, 0, 4, 4))
    deviation = np.full((30, 40), 7, np.float32)
    seen, most = views.doubt(Image.new("RGB", (40, 30), (90, 90, 90)), deviation, [m])
    assert most == 7
    colours = np.asarray(seen)
    assert (colours[~np.asarray(circle)] == 30).all()
    assert (colours[np.asarray(circle)] == (252, 255, 164)).all()


# ── the command line ─────────────────────────────────────────────────────────────────────────────

SURE, ODD = Mosaic.rectangle(0, 0, 64, 64, 8, 0.9), Mosaic(100, 0, 64, 64, Grid(97, 0, 8.5, 8), confidence=0.7)
UNSURE, FAINT = Mosaic.rectangle(0, 100, 64, 64, 8, 0.456), Mosaic.rectangle(100, 100, 64, 64, 8, 0.41)
FOUND = (SURE, ODD, UNSURE, FAINT)


@pytest.mark.parametrize(
    ("chosen", "expected"),
    [
        ((SURE, ODD), "deepix restore p.png"),
        ((SURE, ODD, UNSURE, FAINT), "deepix restore p.png --force"),
        ((SURE, ODD, UNSURE), "deepix restore p.png --threshold 0.45"),
        ((SURE,), "deepix restore p.png --threshold 0.9"),
        ((UNSURE, FAINT), "deepix restore p.png --area 0,100,64,64,8 --area 100,100,64,64,8"),
        ((ODD,), "deepix restore p.png --mosaics p_areas.json"),
        ((SURE, Mosaic.rectangle(5, 200, 30, 30, 6)), "deepix restore p.png --area 0,0,64,64,8 --area 5,200,30,30,6"),
        ((Mosaic(4, 4, 30, 30, Grid(4, 4, 6, 6, blended=True)),), "deepix restore p.png --mosaics p_areas.json"),
    ],
)
def test_the_command_restores_what_was_chosen(chosen, expected):
    said = commands.command("p.png", FOUND, chosen, sure=0.5)
    assert said.text == expected
    assert (said.areas is not None) == ("--mosaics" in expected)


@pytest.mark.parametrize("name", ["a b.png", "-o.png", "$(rm -rf ~).png", "it's.png", "`x`;ls.jpg"])
def test_names_are_quoted_for_the_shell(name):
    words = shlex.split(commands.command(name, FOUND, (SURE, ODD), sure=0.5).text)
    assert words[:2] == ["deepix", "restore"]
    assert words[2].removeprefix("./") == name
    assert not words[2].startswith("-")
    assert len(words) == 3


# ── who may ask ──────────────────────────────────────────────────────────────────────────────────


def answered(guard: Guard, method: str = "POST", **headers: str) -> tuple[int, dict[str, str]]:
    """Return the status, and the headers, with which a request is answered."""
    said: list = []

    async def send(message: dict) -> None:
        said.append(message)

    async def receive() -> dict:
        return {"type": "http.request", "body": b"", "more_body": False}

    raw = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
    asyncio.run(guard({"type": "http", "method": method, "path": "/", "headers": raw}, receive, send))
    return said[0]["status"], {name.decode(): value.decode() for name, value in said[0]["headers"]}


async def application(scope, receive, send) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b""})


LOCAL = Guard(application, "127.0.0.1", 8765)
OPEN = Guard(application, "0.0.0.0", 8765, ("photos.example.org",))


@pytest.mark.parametrize(
    ("guard", "host", "status"),
    [
        (LOCAL, "127.0.0.1:8765", 200),
        (LOCAL, "localhost:8765", 200),
        (LOCAL, "LocalHost:8765", 200),
        (LOCAL, "[::1]:8765", 200),
        (LOCAL, "localhost", 421),
        (LOCAL, "localhost:80", 421),
        (LOCAL, "evil.example:8765", 421),
        (LOCAL, "127.0.0.1.evil.example:8765", 421),
        (LOCAL, "192.168.0.7:8765", 421),
        (LOCAL, "", 421),
        (OPEN, "192.168.0.7:8765", 200),
        (OPEN, "[fe80::1]:8765", 200),
        (OPEN, "photos.example.org", 200),
        (OPEN, "photos.example.org:8765", 421),
        (OPEN, "evil.example:8765", 421),
        (OPEN, "192.168.0.7:99999", 421),
    ],
)
def test_only_names_of_its_own_are_answered(guard, host, status):
    for method in ("GET", "POST"):
        said, headers = answered(guard, method, host=host)
        assert said == status
        assert headers["content-security-policy"] == HEADERS["Content-Security-Policy"]


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 200),
        ({"origin": "http://localhost:8765"}, 200),
        ({"origin": "http://localhost:8765", "sec_fetch_site": "same-origin"}, 200),
        ({"origin": "http://127.0.0.1:8765"}, 403),
        ({"origin": "http://evil.example"}, 403),
        ({"origin": "http://localhost:8765.evil.example"}, 403),
        ({"origin": "null"}, 403),
        ({"origin": ""}, 403),
        ({"sec_fetch_site": "cross-site"}, 403),
        ({"sec_fetch_site": "same-site"}, 403),
    ],
)
def test_only_its_own_page_may_change_anything(headers, status):
    assert answered(LOCAL, host="localhost:8765", **headers)[0] == status
