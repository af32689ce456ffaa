"""The page's server as programs see it: pictures looked at and restored, visitors kept apart, bounds kept."""

from __future__ import annotations

import json
import os
import socket
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO
from pathlib import Path

import httpx
import numpy as np
import pytest
from PIL import Image
from skimage import data
from typer.testing import CliRunner
from web_cases import (
    CUP,
    Visitor,
    by_command,
    check_against_command,
    deep,
    photo,
    saved,
    server,
    slow,
    transparent,
    turned,
    until,
)

import deepix
from deepix.cli import app


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    """A server: its address, and the folder of its temporary files."""
    folder = tmp_path_factory.mktemp("served")
    with server(folder) as (address, _):
        yield address, folder
    assert not list(folder.glob("deepix-web-*")), "something was left behind"


@pytest.fixture
def visitor(served):
    with Visitor(served[0]) as visitor:
        yield visitor


# ── the way of a picture ─────────────────────────────────────────────────────────────────────────


def test_a_picture_is_found_and_restored_as_the_library_does_it(visitor, tmp_path):
    source = saved(tmp_path / "photo.png")
    number = visitor.send(source)
    known = visitor.told(number)
    found = deepix.find(source)
    assert known["size"] == [600, 400]
    assert [area["box"] for area in known["areas"]] == [[m.x, m.y, m.width, m.height] for m in found]
    assert [area["confidence"] for area in known["areas"]] == [m.confidence for m in found]
    assert [area["grid"] for area in known["areas"]] == [
        [m.grid.x, m.grid.y, m.grid.width, m.grid.height] for m in found
    ]
    known = visitor.ask(number, "restore", areas=[area["id"] for area in known["areas"]])
    restored = np.asarray(Image.open(BytesIO(visitor.result(number))))
    assert np.array_equal(restored, np.asarray(deepix.restore(source).image))
    assert known["result"]["command"] == "deepix restore photo.png"
    assert known["result"]["consistency"] == 0
    check_against_command(visitor, number, known, source)
    for view in ("before", "after", "doubt"):
        assert Image.open(BytesIO(visitor.client.get(f"/api/pictures/{number}/views/{view}").content)).size == (
            600,
            400,
        )
    part = visitor.client.get(f"/api/pictures/{number}/views/after", params={"box": "130,100,64,32"})
    assert np.array_equal(np.asarray(Image.open(BytesIO(part.content))), restored[100:132, 130:194])


@pytest.mark.parametrize(
    ("make", "name"),
    [(turned, "turned.jpg"), (transparent, "alpha.png"), (deep, "deep.png")],
    ids=["turned", "alpha", "16 bits"],
)
def test_the_file_is_what_the_command_line_writes_also_with_painted_areas(visitor, tmp_path, make, name):
    source = make(tmp_path / name)
    number = visitor.send(source)
    known = visitor.told(number)
    assert known["size"] == [600, 400], "upright"
    (cup,) = (a for a in known["areas"] if a["box"][0] < 300)
    # one that was found, one that was painted over
    stroke = {"radius": 30, "points": [[365, 265], [410, 265], [410, 295], [365, 295]]}
    known = visitor.ask(number, "areas", strokes=[stroke], cell=10)
    assert known["error"] is None
    (painted,) = (a for a in known["areas"] if a["drawn"])
    assert painted["grid"][2:] == [10, 10]
    assert known["areas"][1]["id"] in painted["overlaps"]
    known = visitor.ask(number, "restore", areas=[cup["id"], painted["id"]])
    assert known["error"] is None
    assert "--mosaics" in known["result"]["command"]
    check_against_command(visitor, number, known, source)
    # and a rectangle of which all is known
    known = visitor.ask(number, "areas", box=[330, 230, 120, 100], cell=10)
    known = visitor.ask(number, "restore", areas=[known["areas"][-1]["id"]])
    check_against_command(visitor, number, known, source)


def test_what_cells_show_can_be_said_and_the_command_line_says_the_same(visitor, tmp_path):
    source = saved(tmp_path / "photo.png")
    number = visitor.send(source)
    areas = [area["id"] for area in visitor.told(number)["areas"]]
    for kind in ("mean", "min", "sample", "linear"):
        known = visitor.ask(number, "restore", areas=areas, cellValue=kind)
        assert known["error"] is None
        assert known["result"]["command"] == f"deepix restore photo.png --cell-value {kind}"
        assert [(value["kind"], value["told"]) for value in known["result"]["cellValues"]] == [(kind, False)] * 2
        check_against_command(visitor, number, known, source)
    # areas that are named by numbers, and by a file
    known = visitor.ask(number, "restore", areas=areas[:1], cellValue="max")
    assert "--cell-value max" in known["result"]["command"] or known["result"]["areasFile"]
    check_against_command(visitor, number, known, source)
    known = visitor.ask(number, "areas", strokes=[{"radius": 30, "points": [[365, 265], [410, 295]]}], cell=10)
    known = visitor.ask(number, "restore", areas=[areas[0], known["areas"][-1]["id"]], cellValue="sample")
    assert known["result"]["areasFile"]
    check_against_command(visitor, number, known, source)
    # without, the picture tells
    known = visitor.ask(number, "restore", areas=areas)
    assert known["result"]["command"] == "deepix restore photo.png"
    assert [value["kind"] for value in known["result"]["cellValues"]] == ["mean", "mean"]
    answer = visitor.client.post(f"/api/pictures/{number}/restore", json={"areas": areas, "cellValue": "median"})
    assert answer.status_code == 422
    assert answer.json()["error"] == "cells show one of mean, sample, min, max, linear"


def test_a_cell_size_that_is_typed_counts_and_can_be_taken_back(visitor, tmp_path):
    number = visitor.send(saved(tmp_path / "photo.png"))
    first = visitor.told(number)["areas"][0]
    known = visitor.ask(number, f"areas/{first['id']}", cell=24)
    assert known["areas"][0]["grid"][2:] == [24, 24]
    assert known["areas"][0]["changed"]
    known = visitor.ask(number, f"areas/{first['id']}", cell=None)
    assert known["areas"][0] == first


def test_areas_that_were_drawn_can_be_taken_away_and_found_ones_stay(visitor, tmp_path):
    number = visitor.send(saved(tmp_path / "photo.png"))
    visitor.told(number)
    drawn = visitor.ask(number, "areas", box=[120, 96, 128, 96])["areas"][-1]
    assert drawn["grid"] == [120, 96, 12, 12]
    assert visitor.client.delete(f"/api/pictures/{number}/areas/{drawn['id']}").status_code == 200
    known = visitor.told(number)
    assert [area["drawn"] for area in known["areas"]] == [False, False]
    answer = visitor.client.delete(f"/api/pictures/{number}/areas/{known['areas'][0]['id']}")
    assert answer.status_code == 422


def test_cells_that_are_typed_change_neither_the_area_nor_what_is_foreign(visitor, tmp_path):
    pixels = photo()
    pixels[140:146] = 255  # a line across the whole picture, drawn after the cup was pixelated
    number = visitor.send(saved(tmp_path / "crossed.png", pixels))
    first = next(a for a in visitor.told(number)["areas"] if a["box"][0] < 300)
    known = visitor.ask(number, "restore", areas=[first["id"]])
    address = f"/api/pictures/{number}/areas.json"
    (before,) = visitor.client.get(address).json()["mosaics"]
    assert before["foreign"]
    known = visitor.ask(number, f"areas/{first['id']}", cell=6)
    assert known["error"] is None
    again = next(a for a in known["areas"] if a["id"] == first["id"])
    assert (again["box"], again["grid"][2:], again["inside"]) == (first["box"], [6, 6], first["inside"])
    visitor.ask(number, "restore", areas=[first["id"]])
    (after,) = visitor.client.get(address).json()["mosaics"]
    assert (after["foreign"], after.get("mask")) == (before["foreign"], before.get("mask"))


# ── what goes wrong ──────────────────────────────────────────────────────────────────────────────

WRONG = {
    "text.png": b"this is no picture\n" * 50,
    "cut.jpg": b"\xff\xd8\xff\xe0\0\x10JFIF\0\1",
    "page.html": b"<!doctype html><script>alert(1)</script>",
    "film.mp4": b"\0\0\0\x18ftypmp42\0\0\0\0mp42isom" + bytes(100),
    "noise.png": b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 9,
}


@pytest.mark.parametrize("name", WRONG)
def test_what_is_no_picture_is_one_line_with_the_visitors_name(served, visitor, tmp_path, name):
    (tmp_path / name).write_bytes(WRONG[name])
    number = visitor.send(tmp_path / name)
    known = visitor.told(number)
    assert known["stage"] == "failed"
    assert known["error"].startswith(f"{name}: ")
    assert "\n" not in known["error"]
    assert str(served[1]) not in known["error"]
    assert "Traceback" not in known["error"]


def test_a_clean_picture_has_no_areas_and_an_area_without_a_grid_is_named(visitor, tmp_path):
    number = visitor.send(saved(tmp_path / "clean.png", data.coffee()))
    known = visitor.told(number)
    assert (known["areas"], known["error"], known["stage"]) == ([], None, "ready")
    known = visitor.ask(number, "areas", box=[10, 10, 100, 100])
    assert "no grid can be made out in the area 10,10,100,100" in known["error"]
    known = visitor.ask(number, "areas", box=[500, 300, 200, 200])
    assert "does not lie in the picture of 600 x 400" in known["error"]
    known = visitor.ask(number, "areas", box=[10, 10, 100, 100], cell=10)
    assert known["error"] is None
    known = visitor.ask(number, "areas", box=[50, 50, 100, 100], cell=10)
    known = visitor.ask(number, "restore", areas=[area["id"] for area in known["areas"]])
    assert "overlap" in known["error"]
    assert known["result"] is None


@pytest.mark.parametrize(
    ("what", "body"),
    [
        ("areas", b"{"),
        ("areas", b"[]"),
        ("areas", b"{}"),
        ("areas", b'{"box": [1, 2, 3]}'),
        ("areas", b'{"box": [1e999, 2, 3, 4]}'),
        ("areas", b'{"box": ["a", 2, 3, 4]}'),
        ("areas", b'{"box": [1, 2, 3, 4], "cell": "x"}'),
        ("areas", b'{"strokes": [{"radius": 1, "points": [[1, null]]}]}'),
        ("areas", b"[" * 100_000),
        ("areas/1", b'{"cell": 1}'),
        ("areas/99", b'{"cell": 8}'),
        ("restore", b'{"areas": []}'),
        ("restore", b'{"areas": [99]}'),
        ("restore", b'{"areas": [true, {}]}'),
        ("restore", b'{"areas": "1"}'),
    ],
)
def test_requests_that_mean_nothing_are_refused_in_one_line(visitor, tmp_path, what, body):
    number = visitor.send(saved(tmp_path / "photo.png"))
    visitor.told(number)
    answer = visitor.client.post(f"/api/pictures/{number}/{what}", content=body)
    assert answer.status_code == 422
    assert "\n" not in answer.json()["error"]
    assert visitor.told(number)["stage"] == "ready"


def test_parts_outside_and_too_large_are_refused(visitor, tmp_path):
    number = visitor.send(saved(tmp_path / "photo.png"))
    visitor.told(number)
    views = f"/api/pictures/{number}/views"
    for box, status in (("900,0,10,10", 404), ("0,0,9999,9999", 422), ("0,0,0,1", 422), ("a", 422), ("1,2,3", 422)):
        assert visitor.client.get(f"{views}/before", params={"box": box}).status_code == status
    for view in ("after", "doubt", "original", "..%2f..%2foriginal", "areas"):
        assert visitor.client.get(f"{views}/{view}").status_code == 404
    assert visitor.client.get(f"/api/pictures/{number}/result").status_code == 404
    assert visitor.client.get(f"/api/pictures/{number}/areas.json").status_code == 404


# ── visitors ─────────────────────────────────────────────────────────────────────────────────────


def test_one_visitors_addresses_mean_nothing_to_another(served, visitor, tmp_path):
    number = visitor.send(saved(tmp_path / "mine.png"))
    visitor.ask(number, "restore", areas=[visitor.told(number)["areas"][0]["id"]])
    addresses = [f"/api/pictures/{number}{rest}" for rest in ("", "/views/before", "/views/after", "/result")]
    with Visitor(served[0]) as other:
        for address in addresses:
            assert other.client.get(address).status_code == 404
        theirs = other.send(saved(tmp_path / "theirs.png", data.coffee()))
        assert theirs == number, "numbers tell nothing of other visitors"
        assert other.told(theirs)["name"] == "theirs.png"
        assert other.client.get("/api/pictures").json()["pictures"] == [{"id": theirs, "name": "theirs.png"}]
        assert other.client.get(f"/api/pictures/{theirs}/result").status_code == 404
    forged = httpx.Client(base_url=served[0], cookies=dict.fromkeys(visitor.client.cookies, "x" * 43))
    assert all(forged.get(address).status_code == 404 for address in addresses)
    assert all(visitor.client.get(address).status_code == 200 for address in addresses)


def test_the_cookie_is_for_the_server_only(served, tmp_path):
    answer = httpx.get(served[0])
    assert "set-cookie" not in answer.headers, "who only looks is not remembered"
    content = saved(tmp_path / "photo.png").read_bytes()
    cookie = httpx.post(f"{served[0]}/api/pictures", content=content).headers["set-cookie"]
    port = served[0].rpartition(":")[2]
    assert cookie.startswith(f"deepix-{port}=")
    assert len(cookie.partition("=")[2].partition(";")[0]) == 43, "32 random bytes"
    assert "httponly" in cookie.lower()
    assert "samesite=strict" in cookie.lower()
    assert "domain" not in cookie.lower()


def kept(folder: Path) -> list[Path]:
    # what goes while it is looked at does not matter
    roots = [path for path in folder.iterdir() if path.name.startswith("deepix-web-")]
    return [Path(place, name) for root in roots for place, _, names in os.walk(root) for name in names]


def test_what_is_kept_goes_when_the_visitor_says_so(tmp_path):
    with server(tmp_path / "kept") as (address, _), Visitor(address) as visitor:
        first, second = (visitor.send(saved(tmp_path / f"{k}.png")) for k in "ab")
        visitor.told(first)
        visitor.told(second)
        assert {p.name for p in kept(tmp_path / "kept")} == {"original.png", "before.npy", "before.jpg"}
        assert visitor.client.delete(f"/api/pictures/{first}").status_code == 200
        assert len(kept(tmp_path / "kept")) == 3
        assert visitor.client.get(f"/api/pictures/{first}").status_code == 404
        assert visitor.client.delete("/api/session").status_code == 200
        assert kept(tmp_path / "kept") == []
        assert visitor.client.get(f"/api/pictures/{second}").status_code == 404
        visitor.told(visitor.send(saved(tmp_path / "c.png")))
    assert not list((tmp_path / "kept").glob("deepix-web-*")), "and all of it when the server stops"


def test_who_has_gone_is_forgotten_and_what_a_killed_server_left_is_swept(tmp_path):
    folder = tmp_path / "kept"
    with server(folder) as (address, process), Visitor(address) as visitor:
        visitor.told(visitor.send(saved(tmp_path / "a.png")))
        process.kill()
        process.wait()
    assert kept(folder)
    with server(folder, "--idle", "0.1") as (address, _), Visitor(address) as visitor:
        assert kept(folder) == []
        visitor.told(visitor.send(saved(tmp_path / "a.png")))
        assert kept(folder)
        until(lambda: not kept(folder))


# ── bounds ───────────────────────────────────────────────────────────────────────────────────────


def test_bounds_of_bytes_and_pixels_are_kept(tmp_path):
    large = saved(tmp_path / "large.png", np.zeros((1100, 1000, 3), np.uint8))
    with (
        server(tmp_path / "kept", "--max-mb", "1", "--max-pixels", "1000000") as (address, _),
        Visitor(address) as visitor,
    ):
        known = visitor.told(visitor.send(large))
        assert "more than 1 megapixels" in known["error"]
        answer = visitor.client.post("/api/pictures", content=bytes(2 << 20))
        assert answer.status_code == 413
        assert "larger than 1 MiB" in answer.json()["error"]

        def chunks():
            for _ in range(40):
                yield bytes(1 << 16)

        answer = visitor.client.post("/api/pictures", content=chunks())  # that does not say how much it brings
        assert answer.status_code == 413
        assert visitor.client.post("/api/pictures", content=b"").status_code == 422
        number = visitor.send(saved(tmp_path / "photo.png"))
        visitor.told(number)
        answer = visitor.client.post(f"/api/pictures/{number}/areas", content=bytes(2 << 20))
        assert answer.status_code == 413
        assert len(kept(tmp_path / "kept")) == 3 + 1, "the picture's, and the large one's file"


def test_the_queue_has_an_end_and_tasks_can_be_cancelled(tmp_path):
    source = slow(tmp_path / "slow.jpg")
    with server(tmp_path / "kept", "--waiting", "2") as (address, _), Visitor(address) as visitor:
        first = visitor.send(source)
        until(lambda: visitor.client.get(f"/api/pictures/{first}").json()["stage"] == "finding")
        second, third = visitor.send(source), visitor.send(source)
        assert visitor.client.get(f"/api/pictures/{third}").json()["ahead"] == 2
        answer = visitor.client.post("/api/pictures", content=source.read_bytes())
        assert answer.status_code == 503
        assert "try again" in answer.json()["error"]
        assert answer.headers["retry-after"]
        # one that waits, and one that is being worked on
        assert visitor.client.post(f"/api/pictures/{second}/cancel").status_code == 200
        assert visitor.client.get(f"/api/pictures/{second}").status_code == 404, "it was never seen"
        assert visitor.client.post(f"/api/pictures/{first}/cancel").status_code == 200
        known = visitor.told(first)
        assert (known["stage"], known["areas"], known["error"]) == ("ready", [], None)
        assert len(visitor.told(third)["areas"]) == 2, "the next one is served by a new worker"


def of_programs(folder: Path) -> list[Path]:
    """Return the files of programs, whose pictures have no numbers."""
    return [path for path in kept(folder) if len(path.relative_to(folder).parts) == 3]


# ── programs ─────────────────────────────────────────────────────────────────────────────────────


def test_programs_get_the_file_that_the_command_line_writes(served, tmp_path):
    source = turned(tmp_path / "photo.jpg")
    answer = httpx.post(f"{served[0]}/api/restore", files={"picture": source.open("rb")}, timeout=None)
    assert answer.status_code == 200, answer.text
    name, content = by_command("deepix restore photo.jpg", source, None)
    assert answer.content == content
    assert f'filename="{name}"' in answer.headers["content-disposition"]
    assert "set-cookie" not in answer.headers
    mask = np.zeros((400, 600), np.uint8)
    mask[CUP.box] = 255
    saved(tmp_path / "mask.png", mask)
    asked = {"area": ["330,230,120,100,10"], "cell": "12"}
    files = {"picture": source.open("rb"), "mask": (tmp_path / "mask.png").open("rb")}
    answer = httpx.post(f"{served[0]}/api/restore", files=files, data=asked, timeout=None)
    assert answer.status_code == 200, answer.text
    shown = "deepix restore photo.jpg --mask mask.png --cell 12 --area 330,230,120,100,10"
    assert answer.content == by_command(shown, source, None)[1]
    assert of_programs(served[1]) == []


def test_programs_are_told_in_one_line_what_is_wrong(served, tmp_path):
    clean = saved(tmp_path / "clean.png", data.coffee())

    def asked(status: int, picture: bytes = clean.read_bytes(), **fields: str) -> str:
        files = {"picture": ("clean.png", picture)}
        answer = httpx.post(f"{served[0]}/api/restore", files=files, data=fields, timeout=None)
        assert answer.status_code == status, answer.text
        text: str = answer.json()["error"]
        assert "\n" not in text
        assert str(served[1]) not in text
        return text

    assert asked(422) == "clean.png: nothing pixelated found; name it with area or mask"
    assert "no grid can be made out" in asked(422, area="0,0,100,100")
    assert "X,Y,W,H" in asked(422, area="0,0")
    assert "invalid literal" in asked(422, cell="x")
    assert "between 0 and 1" in asked(422, threshold="7")
    assert "has the fields" in asked(422, path="/etc/passwd")
    assert "'mask' is a file" in asked(422, mask="/etc/passwd")
    assert asked(422, b"no picture").startswith("clean.png: ")
    answer = httpx.post(f"{served[0]}/api/restore", data={"picture": "/etc/passwd"})
    assert answer.status_code == 422
    for content in (b"", b"--x", b"x" * 1000):
        for kind in ("multipart/form-data; boundary=x", "multipart/form-data", "text/plain"):
            answer = httpx.post(f"{served[0]}/api/restore", content=content, headers={"content-type": kind})
            assert answer.status_code == 422, (content, kind)
            assert "\n" not in answer.json()["error"]
    assert of_programs(served[1]) == []


def test_a_program_that_leaves_gives_its_task_up(tmp_path):
    source = slow(tmp_path / "slow.jpg")
    folder = tmp_path / "kept"
    with server(folder) as (address, _):
        with pytest.raises(httpx.ReadTimeout):
            httpx.post(
                f"{address}/api/restore", files={"picture": source.open("rb")}, timeout=httpx.Timeout(None, read=1.0)
            )
        until(lambda: not kept(folder))
        answer = httpx.post(f"{address}/api/restore", files={"picture": ("a.png", b"")}, timeout=None)
        assert answer.status_code == 422, "the next one is served"


# ── the server itself ────────────────────────────────────────────────────────────────────────────


def test_a_server_for_everyone_says_so_and_answers_to_addresses(tmp_path):
    with server(tmp_path / "kept", "--host", "0.0.0.0", "--name", "photos.example.org") as (address, process):
        assert httpx.get(address).status_code == 200
        assert httpx.get(address, headers={"host": "photos.example.org"}).status_code == 200
        assert httpx.get(address, headers={"host": "evil.example"}).status_code == 421
        process.terminate()
        process.wait()


def test_a_port_that_is_taken_is_one_line(tmp_path):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        result = CliRunner().invoke(app, ["web", "--no-open", "--port", str(port)])
    assert isinstance(result.exception, deepix.DeepixError)
    assert str(result.exception).startswith(f"cannot listen at 127.0.0.1, port {port}")


def test_without_the_extra_one_line_says_what_to_install(monkeypatch):
    import sys

    for name in [
        n for n in sys.modules if n.partition(".")[0] in ("uvicorn", "starlette") or n.startswith("deepix.web")
    ]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "uvicorn", None)
    result = CliRunner().invoke(app, ["web", "--no-open"])
    assert str(result.exception) == "this needs uvicorn: pip install 'deepix[web]'"


def test_visitors_at_once_get_their_own_pictures(served, tmp_path):
    sources = []
    for k in range(4):
        pixels = np.roll(data.coffee(), 70 * k, axis=1)
        sources.append(saved(tmp_path / f"{k}.png", deepix.pixelate(pixels, [CUP])))

    def visit(source: Path) -> bytes:
        with Visitor(served[0]) as visitor:
            number = visitor.send(source)
            areas = visitor.told(number)["areas"]
            visitor.ask(number, "restore", areas=[area["id"] for area in areas])
            return visitor.result(number)

    with ThreadPoolExecutor(4) as pool:
        results = list(pool.map(visit, sources))
    for source, result in zip(sources, results, strict=True):
        assert np.array_equal(np.asarray(Image.open(BytesIO(result))), np.asarray(deepix.restore(source).image))


def test_the_about_page_states_the_limits(served):
    about = httpx.get(f"{served[0]}/api/about").json()
    assert about["maxBytes"] == 100 << 20
    assert about["maxPixels"] == 50_000_000
    assert json.dumps(about)
