"""Detail, as the page's server gives it: variants to look at, and files as the command line writes them.

With a small refiner of random weights, in a copy of the package, whatever the package itself ships.
"""

from __future__ import annotations

import json
from io import BytesIO

import httpx
import numpy as np
import pytest
from PIL import Image
from web_cases import (
    Visitor,
    by_command,
    check_against_command,
    deep,
    package,
    saved,
    server,
    slow,
    transparent,
    turned,
    until,
)

import deepix
from deepix.draw.heat import heat_colours
from deepix.inference.models import Models
from deepix.restorer import refine_model


@pytest.fixture
def shipped(refiner_files, monkeypatch):
    """The same refiner for the command line in this process."""
    with Models() as opener:
        opened = refine_model.Refiner(opener.open(refiner_files["refiner"]))
        monkeypatch.setattr(refine_model, "load_refiner", lambda models=None: opened)
        yield


@pytest.fixture
def guest(refined):
    with Visitor(refined) as visitor:
        yield visitor


@pytest.mark.usefixtures("shipped")
@pytest.mark.parametrize(
    ("make", "name"),
    [(turned, "turned.jpg"), (transparent, "alpha.png"), (deep, "deep.png")],
    ids=["turned", "alpha", "16 bits"],
)
def test_files_with_detail_are_what_the_command_line_writes(guest, tmp_path, make, name):
    source = make(tmp_path / name)
    number = guest.send(source)
    known = guest.told(number)
    (cup,) = (a for a in known["areas"] if a["box"][0] < 300)
    stroke = {"radius": 30, "points": [[365, 265], [410, 265], [410, 295], [365, 295]]}
    painted = guest.ask(number, "areas", strokes=[stroke], cell=10)["areas"][-1]
    known = guest.ask(number, "restore", areas=[cup["id"], painted["id"]])
    assert known["error"] is None
    known = guest.ask(number, "variants", seeds=[0, 5])
    assert [v["seed"] for v in known["result"]["variants"]] == [0, 5]
    assert known["result"]["growth"] == 1.2
    contents = []
    for detail, seed in ((0, 0), (0.37, 5), (1, 5), (1, 0)):
        known = guest.ask(number, "file", detail=detail, seed=seed)
        assert known["error"] is None
        check_against_command(guest, number, known, source, detail, seed)
        answer = guest.client.get(f"/api/pictures/{number}/result", params={"detail": detail, "seed": seed})
        contents.append(answer.content)
    assert len(set(contents)) == 4, "each is another picture"
    # only the last one with detail is kept, beside the one without
    result = f"/api/pictures/{number}/result"
    assert guest.client.get(result, params={"detail": 0.37, "seed": 5}).status_code == 404
    assert guest.client.get(result).content == contents[0]


def test_variants_can_be_seen_as_they_are_written(guest, tmp_path):
    number = guest.send(saved(tmp_path / "photo.png"))
    known = guest.told(number)
    guest.ask(number, "restore", areas=[area["id"] for area in known["areas"]])
    address = f"/api/pictures/{number}/views/variant-7"
    assert guest.client.get(address).status_code == 404
    assert guest.ask(number, "variants", seeds=[7])["result"]["variants"] == [{"seed": 7, "consistency": 0.0}]
    guest.ask(number, "file", detail=1, seed=7)
    answer = guest.client.get(f"/api/pictures/{number}/result", params={"detail": "1", "seed": "7"})
    written = np.asarray(Image.open(BytesIO(answer.content)))
    assert (written != np.asarray(Image.open(BytesIO(guest.result(number))))).any()
    for box in ((0, 0, 600, 400), (100, 80, 60, 50), (-9, -9, 200, 200), (440, 320, 999, 999), (590, 0, 10, 3)):
        part = guest.client.get(address, params={"box": ",".join(map(str, box))})
        x, y, w, h = box
        expected = written[max(0, y) : y + h, max(0, x) : x + w]
        assert np.array_equal(np.asarray(Image.open(BytesIO(part.content))), expected)
    # asked for again, nothing is done
    version = guest.told(number)["version"]
    assert guest.ask(number, "variants", seeds=[7, 7])["version"] == version


def test_variants_that_are_given_up_leave_what_there_is(guest, tmp_path):
    number = guest.send(slow(tmp_path / "slow.jpg"))
    known = guest.told(number)
    known = guest.ask(number, "restore", areas=[area["id"] for area in known["areas"]])
    address = f"/api/pictures/{number}"
    plain = guest.result(number)
    asked = {"seeds": [*range(12)]}
    assert guest.client.post(f"{address}/variants", json=asked).status_code == 202
    assert guest.client.post(f"{address}/variants", json=asked).status_code == 202, "another window asks for the same"
    assert guest.client.post(f"{address}/file", json={"detail": 0.5}).status_code == 422, "one thing at a time"
    until(lambda: guest.client.get(address).json()["result"]["variants"])
    assert guest.client.post(f"{address}/cancel").status_code == 200
    known = guest.told(number)
    assert (known["stage"], known["error"], known["result"]["refining"]) == ("ready", None, [])
    assert 1 <= len(known["result"]["variants"]) < 12
    assert guest.result(number) == plain
    there = known["result"]["variants"][0]["seed"]
    assert guest.client.get(f"{address}/views/variant-{there}").status_code == 200
    known = guest.ask(number, "variants", seeds=[100])
    assert known["result"]["variants"][-1]["seed"] == 100, "and it can be gone on"
    # another restoration begins without any
    known = guest.ask(number, "restore", areas=[known["areas"][0]["id"]])
    assert known["result"]["variants"] == []
    assert guest.client.get(f"{address}/views/variant-{there}").status_code == 404


@pytest.mark.usefixtures("shipped")
def test_what_looks_restored_is_mapped_as_python_maps_it(guest, tmp_path):
    source = saved(tmp_path / "photo.png")
    number = guest.send(source)
    known = guest.told(number)
    known = guest.ask(number, "restore", areas=[area["id"] for area in known["areas"]])
    assert known["result"]["looks"] is None
    mosaics = deepix.find(source)
    seen = []
    for detail, seed in ((0, 0), (0.37, 5)):
        looks = guest.ask(number, "looks", detail=detail, seed=seed)["result"]["looks"]
        assert (looks["detail"], looks["seed"]) == (detail, seed)
        result = deepix.restore(source, mosaics, detail=detail, seed=seed, restored_map=True)
        colours = heat_colours(result.restored_map)
        address = f"/api/pictures/{number}/views/{looks['view']}"
        part = guest.client.get(address, params={"box": "0,0,600,400"})
        shown = np.asarray(Image.open(BytesIO(part.content)))
        area = np.zeros(shown.shape[:2], bool)
        for m in mosaics:
            area[m.box] |= m.area
        assert np.array_equal(shown[area], colours[area])
        assert (shown[~area].max(axis=1) <= 85).all(), "what is known is dark"
        assert guest.client.get(address).status_code == 200
        seen.append(address)
    assert guest.client.get(seen[0]).status_code == 404, "only the last one is kept"
    version = guest.told(number)["version"]
    assert guest.ask(number, "looks", detail=0.37, seed=5)["version"] == version, "asked for again, nothing is done"


NONSENSE = [
    *(("variants", f'{{"seeds": {seeds}}}') for seeds in ("null", "[]", "3", "[-1]", "[true]", '["1"]', "[1.5]")),
    ("variants", '{"seeds": [9007199254740992]}'),
    ("variants", json.dumps({"seeds": [*range(13)]})),
    *(("file", f'{{"detail": {detail}}}') for detail in ("null", "true", "-0.1", "1.01", '"1"', "NaN", "1e999")),
    ("file", '{"detail": 1, "seed": -1}'),
    *(("looks", body) for body in ("{}", '{"detail": 2}', '{"detail": 1, "seed": -1}')),
    ("file", '{"detail": 1, "seed": [1]}'),
]


def test_detail_that_means_nothing_is_refused_in_one_line(guest, tmp_path):
    number = guest.send(saved(tmp_path / "photo.png"))
    known = guest.told(number)
    address = f"/api/pictures/{number}"
    for what in ("variants", "file", "looks"):
        answer = guest.client.post(f"{address}/{what}", json={"seeds": [0], "detail": 1})
        assert answer.json()["error"] == "nothing is restored yet"
    known = guest.ask(number, "restore", areas=[known["areas"][0]["id"]])
    for what, body in NONSENSE:
        answer = guest.client.post(f"{address}/{what}", content=body)
        assert answer.status_code == 422, body
        assert "\n" not in answer.json()["error"]
    for asked in ("detail=x", "detail=1&seed=y"):
        assert guest.client.get(f"{address}/result?{asked}").status_code == 422
    assert guest.told(number) == known


@pytest.mark.usefixtures("shipped")
def test_programs_may_ask_for_detail(guest, refined, tmp_path):
    source = turned(tmp_path / "photo.jpg")
    asked = {"detail": "0.37", "seed": "3"}
    answer = httpx.post(f"{refined}/api/restore", files={"picture": source.open("rb")}, data=asked, timeout=None)
    assert answer.status_code == 200, answer.text
    assert answer.content == by_command("deepix restore photo.jpg --detail 0.37 --seed 3", source, None)[1]
    for wrong, said in (
        ({"detail": "2"}, "between 0 and 1"),
        ({"seed": "-1"}, "a seed is"),
        ({"seed": "x"}, "invalid"),
    ):
        answer = httpx.post(f"{refined}/api/restore", files={"picture": source.open("rb")}, data=wrong, timeout=None)
        assert answer.status_code == 422
        assert said in answer.json()["error"]


def test_without_a_refiner_detail_is_refused_in_one_line(tmp_path):
    imported = package(tmp_path / "without", None)
    source = saved(tmp_path / "photo.png")
    with server(tmp_path / "kept", imported=imported) as (address, _), Visitor(address) as visitor:
        about = visitor.client.get("/api/about").json()
        assert (about["detail"], about["looks"]) == (False, False)
        number = visitor.send(source)
        known = visitor.told(number)
        known = visitor.ask(number, "restore", areas=[known["areas"][0]["id"]])
        for what, asked in (("variants", {"seeds": [0]}), ("file", {"detail": 1}), ("looks", {"detail": 1})):
            known = visitor.ask(number, what, **asked)
            assert "has no trained refiner" in known["error"]
            assert known["result"]["file"] == "photo_restored.png"
        files = {"picture": source.open("rb")}
        answer = visitor.client.post("/api/restore", files=files, data={"detail": "1"})
        assert answer.status_code == 422
        assert "has no trained refiner" in answer.json()["error"]
