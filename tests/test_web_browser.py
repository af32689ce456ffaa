"""The page in a real browser: the whole way of a picture, by pointer and by keyboard, wide and narrow, light and dark.

Needs Chromium (Debian: `apt-get install chromium`) or the one that `playwright install chromium` fetches.
"""

from __future__ import annotations

import os
import re
import shutil
import warnings
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from axe_core_python.sync_playwright import Axe
from image_cases import exif_block
from PIL import Image
from playwright.sync_api import Browser, Error, Page, expect, sync_playwright
from skimage import data
from web_cases import SPOON, by_command, photo, saved, server

import deepix
from deepix.inference.models import Models
from deepix.restorer import refine_model

LARGE = deepix.Mosaic.rectangle(800, 600, 640, 480, 32), deepix.Mosaic.rectangle(2400, 1500, 500, 400, 20)
RULES = {"runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"]}
PATIENCE = 300_000
"""Milliseconds that a hung page is given; how fast it is, is not tested here."""


@pytest.fixture(scope="module")
def browser():
    with sync_playwright() as playwright:
        installed = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
        try:
            browser = playwright.chromium.launch(executable_path=installed, args=["--no-sandbox"])
        except Error as error:
            if os.environ.get("CI"):
                raise
            reason = (
                "THE PAGE IS NOT TESTED: there is no browser; install chromium (Debian) or: playwright install chromium"
            )
            warnings.warn(f"{reason} ({str(error).splitlines()[0]})", pytest.PytestWarning, stacklevel=1)
            pytest.skip(reason)
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def address(tmp_path_factory):
    with server(tmp_path_factory.mktemp("served")) as (address, _):
        yield address


class Visit:
    """A visitor's page, all of whose requests, and whatever its console says, are watched."""

    def __init__(self, browser: Browser, address: str, **options: object) -> None:
        self.context = browser.new_context(**{"viewport": {"width": 1280, "height": 900}, **options})
        self.context.set_default_timeout(PATIENCE)
        self.page: Page = self.context.new_page()
        self.asked: list[str] = []
        self.said: list[str] = []
        self.address = address
        self.context.on("request", lambda request: self.asked.append(request.url))
        self.page.on("console", lambda message: self.said.append(message.text))
        self.page.on("pageerror", lambda error: self.said.append(str(error)))
        self.page.goto(address)
        expect(self.page.locator("#version")).to_contain_text(deepix.__version__)

    def __enter__(self) -> Visit:
        return self

    def __exit__(self, kind: object, *rest: object) -> None:
        foreign = [url for url in self.asked if not url.startswith(f"{self.address}/")]
        self.context.close()
        if kind is None:
            assert foreign == []
            assert [text for text in self.said if "status of 4" not in text] == []

    def send(self, *files: object) -> None:
        self.page.set_input_files("#files", files)

    def found(self, count: int) -> None:
        expect(self.page.locator("#areas > li")).to_have_count(count, timeout=PATIENCE)
        expect(self.page.locator("#busy")).to_be_hidden(timeout=PATIENCE)

    def restored(self) -> None:
        expect(self.page.locator("#download")).to_have_attribute("href", re.compile("result"), timeout=PATIENCE)

    def restore(self) -> None:
        self.page.click("#restore")
        expect(self.page.locator("#download")).not_to_have_attribute("href", re.compile("."))
        self.restored()

    def downloaded(self) -> tuple[str, bytes]:
        with self.page.expect_download() as waited:
            self.page.click("#download")
        return waited.value.suggested_filename, Path(waited.value.path()).read_bytes()

    def tool(self, name: str) -> None:
        self.page.locator(f'input[name="tool"][value="{name}"]').check(force=True)

    def view(self, name: str) -> None:
        self.page.locator(f'input[name="view"][value="{name}"]').check(force=True)

    def on_screen(self, x: float, y: float, width: int) -> tuple[float, float]:
        """Return where a pixel of a picture of this width is on the screen."""
        box = self.page.locator("#sheet").bounding_box()
        assert box is not None
        scale = box["width"] / width
        return box["x"] + x * scale, box["y"] + y * scale

    def violations(self) -> list[str]:
        found = Axe().run(self.page, options=RULES)["violations"]
        return [f"{one['id']}: {node['html']}" for one in found for node in one["nodes"]]


@pytest.fixture
def visit(browser, address):
    with Visit(browser, address) as visit:
        yield visit


@pytest.fixture(scope="module")
def large(tmp_path_factory) -> Path:
    """A photo of 12 megapixels, as a camera saves it."""
    big = np.asarray(Image.fromarray(data.coffee()).resize((4000, 3000), Image.Resampling.BICUBIC))
    lying = np.ascontiguousarray(np.rot90(deepix.pixelate(big, LARGE)))
    return saved(tmp_path_factory.mktemp("large") / "large.jpg", lying, quality=92, exif=exif_block(6))


def test_the_whole_way_of_a_photo_of_12_megapixels_that_is_turned(visit, large):
    page = visit.page
    visit.send(large)
    visit.found(2)
    expect(page.locator("#facts")).to_have_text("4000 × 3000 pixels")
    expect(page.locator("#overlay .chosen")).to_have_count(2)
    expect(page.locator("#overlay .label").first).to_contain_text("1 · 32 px · 99 %")
    # a click leaves an area out, another one takes it in
    page.mouse.click(*visit.on_screen(2600, 1700, 4000))
    expect(page.locator("#overlay .chosen")).to_have_count(1)
    expect(page.locator("#areas input[type=checkbox]").nth(1)).not_to_be_checked()
    page.mouse.click(*visit.on_screen(2600, 1700, 4000))
    expect(page.locator("#overlay .chosen")).to_have_count(2)
    visit.restore()
    name, content = visit.downloaded()
    assert name == "large_restored.png"
    assert np.array_equal(np.asarray(Image.open(BytesIO(content))), np.asarray(deepix.restore(large).image))
    expect(page.locator("#command")).to_have_text("deepix restore large.jpg")
    # the slider cuts the picture where it stands
    cut = page.locator('.layer[data-view="after"]')
    page.locator("#split").focus()
    page.keyboard.press("Home")
    left = cut.evaluate("layer => layer.style.clipPath")
    page.keyboard.press("End")
    assert left != cut.evaluate("layer => layer.style.clipPath")
    # at 100 %: the part is the restored picture itself
    page.get_by_role("button", name="area 1", exact=True).click()
    part = page.locator('.layer[data-view="after"] .part')
    expect(part).to_be_visible(timeout=PATIENCE)
    width = page.locator("#sheet").evaluate("sheet => sheet.getBoundingClientRect().width")
    assert width == 4000
    src = part.get_attribute("src")
    x, y, w, h = (int(v) for v in re.search(r"box=([\d,]+)", src)[1].split(","))
    assert x <= 900 < x + w
    shown = Image.open(BytesIO(page.request.get(f"{visit.address}{src}").body()))
    assert np.array_equal(np.asarray(shown), np.asarray(Image.open(BytesIO(content)))[y : y + h, x : x + w])
    visit.view("doubt")
    expect(page.locator("#legend")).to_be_visible()
    expect(page.locator('.layer[data-view="doubt"] .whole')).to_be_visible()


def test_what_is_drawn_on_the_preview_is_exact_on_the_original(visit, large):
    page = visit.page
    visit.send(large)
    visit.found(2)
    scale = page.locator("#sheet").bounding_box()["width"] / 4000
    # a rectangle from corner to corner of the first area
    page.fill("#cell", "32")
    visit.tool("rectangle")
    page.mouse.move(*visit.on_screen(800, 600, 4000))
    page.mouse.down()
    page.mouse.move(*visit.on_screen(1440, 1080, 4000), steps=5)
    page.mouse.up()
    visit.found(3)
    box = page.evaluate("fetch('/api/pictures/1').then(r => r.json()).then(p => p.areas[2].box)")
    assert np.abs(np.subtract(box, [800, 600, 640, 480])).max() <= 1 / scale + 1
    expect(page.locator("#overlay .chosen")).to_have_count(2)  # the one that it lies over was left out
    # a stroke along the second one
    page.fill("#cell", "20")
    visit.tool("brush")
    page.mouse.move(*visit.on_screen(2500, 1700, 4000))
    page.mouse.down()
    page.mouse.move(*visit.on_screen(2800, 1700, 4000), steps=8)
    page.mouse.up()
    radius = page.evaluate("import('/static/tools.js').then(m => m.radius())")
    page.click("#use-paint")
    visit.found(4)
    x, y, w, h = page.evaluate("fetch('/api/pictures/1').then(r => r.json()).then(p => p.areas[3].box)")
    expected = [2500 - radius, 1700 - radius, 300 + 2 * radius, 2 * radius]
    assert np.abs(np.subtract([x, y, w, h], expected)).max() <= 2 / scale + 2
    visit.restore()
    command = page.locator("#command").text_content()
    assert "--mosaics large_areas.json" in command
    with page.expect_download() as waited:
        page.locator("details", has=page.locator("#command")).locator("summary").click()
        page.click("#areas-file")
    assert waited.value.suggested_filename == "large_areas.json"


def test_what_cells_show_can_be_chosen_and_is_told(visit, tmp_path):
    page = visit.page
    source = saved(tmp_path / "photo.png")
    visit.send(source)
    visit.found(2)
    visit.restore()
    expect(page.locator("#cell-values")).to_contain_text("Cells were taken to show the mean of their pixels")
    expect(page.locator("#command")).to_have_text("deepix restore photo.png")
    page.get_by_label("Cells show").select_option(label="the least value")
    page.click("#restore")
    expect(page.locator("#command")).to_have_text("deepix restore photo.png --cell-value min", timeout=PATIENCE)
    visit.restored()
    expect(page.locator("#cell-values")).to_have_text("Cells were taken to show the least value.")
    assert visit.downloaded() == by_command("deepix restore photo.png --cell-value min", source, None)
    expect(page.locator("#restore")).to_be_enabled(timeout=PATIENCE)
    page.get_by_label("Cells show").select_option("")
    page.click("#restore")
    expect(page.locator("#command")).to_have_text("deepix restore photo.png", timeout=PATIENCE)
    visit.restored()
    assert visit.downloaded() == by_command("deepix restore photo.png", source, None)


def test_all_of_it_by_keyboard(visit, tmp_path):
    page = visit.page
    # the first thing that the keyboard reaches is the way in
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.id") == "files"
    visit.send(saved(tmp_path / "photo.png"))
    visit.found(2)
    page.locator("#areas input[type=checkbox]").first.focus()
    page.keyboard.press("Space")
    expect(page.locator("#restore")).to_have_text("Restore 1 area")
    # an area by numbers
    page.locator("#by-numbers summary").focus()
    page.keyboard.press("Enter")
    for text in ("120", "96", "128", "96", "12"):
        page.keyboard.press("Tab")
        page.keyboard.type(text)
    page.keyboard.press("Enter")
    visit.found(3)
    expect(page.locator("#areas label").nth(4)).to_contain_text("Area 3: 128 × 96, cells 12 px")
    page.locator("#restore").focus()
    page.keyboard.press("Enter")
    expect(page.locator("#restore")).to_be_disabled()
    page.keyboard.press("Enter")  # does nothing now, and the keyboard stays where it is
    visit.restored()
    assert page.evaluate("document.activeElement.id") == "restore"
    expect(page.locator("#status")).to_have_text("Restored. The file is ready.")
    page.locator("#split").focus()
    before = page.locator("#split").input_value()
    page.keyboard.press("ArrowRight")
    assert page.locator("#split").input_value() != before
    # the order of the focus is that of the page, also while variants are made and nothing else can be restored
    page.locator("#files").focus()
    seen = []
    for _ in range(40):
        page.keyboard.press("Tab")
        seen.append(page.evaluate("document.activeElement.id || document.activeElement.name"))
    order = [seen.index(name) for name in ("view", "zoom", "split", "download", "restore", "remove")]
    assert order == sorted(order)


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 390])
def test_no_barriers_and_no_sideways_scrolling_in_any_state(browser, address, tmp_path, scheme, width):
    with Visit(browser, address, color_scheme=scheme, viewport={"width": width, "height": 844}) as visit:
        page = visit.page

        def check(state: str) -> None:
            page.wait_for_timeout(200)  # what fades in, has
            assert visit.violations() == [], state
            assert page.evaluate("document.documentElement.scrollWidth") <= width, state

        check("empty")
        visit.send({"name": "no.png", "mimeType": "image/png", "buffer": b"no picture"})
        expect(page.locator("#error")).to_be_visible(timeout=PATIENCE)
        check("an error")
        page.click("#remove")
        visit.send(saved(tmp_path / "a photo with a rather long name that must not make the page wider than it is.png"))
        visit.found(2)
        page.locator("#by-numbers summary").click()
        check("areas")
        visit.tool("brush")
        page.mouse.move(*visit.on_screen(300, 200, 600))
        page.mouse.down()
        page.mouse.move(*visit.on_screen(320, 220, 600))
        page.mouse.up()
        check("painting")
        page.click("#clear-paint")
        page.click("#restore")
        visit.restored()
        page.locator("details", has=page.locator("#command")).locator("summary").click()
        check("restored")
        visit.view("doubt")
        check("doubt")
        visit.send(saved(tmp_path / "b.png"))
        expect(page.locator("#strip li")).to_have_count(2)
        visit.found(2)
        check("two pictures")


@pytest.mark.parametrize(
    "name", ["<img src=x onerror=alert(1)>.png", "'\"><script>alert(1)</script>.png", "{{7*7}}${7*7}.png"]
)
def test_names_are_shown_as_text_only(visit, name):
    buffer = BytesIO()
    Image.fromarray(photo()).save(buffer, "PNG")
    visit.page.on("dialog", lambda dialog: visit.said.append(dialog.message))
    visit.send({"name": name, "mimeType": "image/png", "buffer": buffer.getvalue()})
    visit.found(2)
    shown = name.rpartition("/")[2]
    expect(visit.page.locator("#work-title")).to_have_text(shown)
    visit.restore()
    assert visit.page.locator("#download").get_attribute("download") == shown.replace(".png", "_restored.png")
    visit.send({"name": name, "mimeType": "image/png", "buffer": b"no picture"})
    expect(visit.page.locator("#error")).to_contain_text(shown, timeout=PATIENCE)


def test_two_visitors_see_their_own_and_what_is_forgotten_is_gone(browser, address, tmp_path):
    with Visit(browser, address) as one, Visit(browser, address) as other:
        one.send(saved(tmp_path / "one.png"))
        one.found(2)
        other.page.reload()
        expect(other.page.locator("#work")).to_be_hidden()
        assert other.page.request.get(f"{address}/api/pictures/1/views/before").status == 404
        # a reload of one's own page brings one's own pictures back
        one.page.reload()
        one.found(2)
        expect(one.page.locator("#work-title")).to_have_text("one.png")
        one.page.click("#forget")
        expect(one.page.locator("#work")).to_be_hidden()
        one.page.reload()
        expect(one.page.locator("#drop-title")).to_be_visible()
        assert one.page.request.get(f"{address}/api/pictures/1/views/before").status == 404


def test_several_files_in_a_row_wrong_ones_among_them(visit, tmp_path):
    page = visit.page
    (tmp_path / "text.png").write_text("this is no picture")
    files = [saved(tmp_path / "first.png"), tmp_path / "text.png", saved(tmp_path / "clean.png", data.coffee())]
    visit.send(*map(str, files))
    expect(page.locator("#strip button")).to_have_count(3, timeout=PATIENCE)
    page.get_by_role("button", name="text.png").click()
    expect(page.locator("#error")).to_contain_text("text.png: not a picture", timeout=PATIENCE)
    page.get_by_role("button", name="clean.png").click()
    expect(page.locator("#none")).to_contain_text("Nothing pixelated was found", timeout=PATIENCE)
    expect(page.locator("#restore")).to_be_disabled()
    # an area in which no grid can be made out is said in one line
    visit.tool("rectangle")
    page.mouse.move(*visit.on_screen(50, 50, 600))
    page.mouse.down()
    page.mouse.move(*visit.on_screen(200, 150, 600))
    page.mouse.up()
    expect(page.locator("#error")).to_contain_text("no grid can be made out", timeout=PATIENCE)
    page.get_by_role("button", name="first.png").click()
    visit.found(2)
    visit.restore()
    assert visit.downloaded()[0] == "first_restored.png"


def test_pasting_and_dropping_bring_pictures_in(visit, tmp_path):
    page = visit.page
    bring = """([kind, bytes]) => {
        const file = new File([new Uint8Array(bytes)], `${kind}.png`, { type: "image/png" });
        const transfer = new DataTransfer();
        transfer.items.add(file);
        const about = { bubbles: true, cancelable: true, dataTransfer: transfer, clipboardData: transfer };
        const event = kind === "drop" ? new DragEvent("drop", about) : new ClipboardEvent("paste", about);
        document.body.dispatchEvent(event);
    }"""
    content = list(saved(tmp_path / "photo.png").read_bytes())
    for count, kind in enumerate(("drop", "paste"), 1):
        page.evaluate(bring, [kind, content])
        expect(page.locator("#work-title")).to_have_text(f"{kind}.png", timeout=PATIENCE)
        visit.found(2)
        assert len(page.evaluate("fetch('/api/pictures').then(r => r.json())")["pictures"]) == count


def test_work_can_be_cancelled_and_begun_again(visit, large):
    page = visit.page
    visit.send(large)
    visit.found(2)
    page.click("#restore")
    expect(page.locator("#busy")).to_be_visible()
    page.click("#cancel")
    expect(page.locator("#busy")).to_be_hidden(timeout=PATIENCE)
    expect(page.locator("#restore")).to_be_enabled()
    expect(page.locator("#result")).to_be_hidden()
    page.locator("#areas input[type=checkbox]").first.uncheck()
    visit.restore()
    expect(page.locator("#command")).to_contain_text("--area 2400,1500,500,400,20")


# ── detail, with a small refiner in a copy of the package ────────────────────────────────────────


@pytest.fixture
def guest(browser, refined):
    with Visit(browser, refined) as visit:
        yield visit


def variants(visit: Visit, count: int) -> None:
    expect(visit.page.locator("#variants input")).to_have_count(count, timeout=PATIENCE)
    expect(visit.page.locator("#busy")).to_be_hidden(timeout=PATIENCE)


def slide(visit: Visit, percent: int) -> None:
    visit.page.locator("#amount").fill(str(percent))


def fetched(visit: Visit, view: str) -> np.ndarray:
    address = f"{visit.address}/api/pictures/1/views/{view}?box=0,0,600,400"
    return np.asarray(Image.open(BytesIO(visit.page.request.get(address).body()))).astype(int)


def test_detail_is_a_blend_and_the_file_is_what_the_command_line_writes(guest, refiner_files, tmp_path, monkeypatch):
    page = guest.page
    source = saved(tmp_path / "photo.png")
    guest.send(source)
    guest.found(2)
    guest.restore()
    plain = guest.downloaded()[1]
    variants(guest, 4)
    expect(page.locator("#amount")).to_have_value("0")
    expect(page.locator("#command")).to_have_text("deepix restore photo.png")
    page.locator("#variants input").nth(2).check(force=True)
    expect(page.locator("#amount")).to_have_value("100")  # a variant that is chosen is seen
    expect(page.locator("#command")).to_have_text("deepix restore photo.png --detail 1 --seed 2")
    page.select_option("#zoom", "1")
    page.locator("#split").focus()
    page.keyboard.press("Home")
    for layer in ("after", "refined"):
        expect(page.locator(f'.layer[data-view="{layer}"] .part')).to_be_visible()
    page.wait_for_load_state("networkidle")
    # sliding asks the server for nothing
    asked = len(guest.asked)
    expected = {0: fetched(guest, "after"), 100: fetched(guest, "variant-2")}
    assert np.abs(expected[100] - expected[0])[SPOON.box].mean() > 1
    expected[37] = 0.63 * expected[0] + 0.37 * expected[100]
    for percent, pixels in expected.items():
        slide(guest, percent)
        x, y = guest.on_screen(SPOON.x, SPOON.y, 600)
        clip = {"x": x, "y": y, "width": SPOON.width, "height": SPOON.height}
        seen = np.asarray(Image.open(BytesIO(page.screenshot(clip=clip))).convert("RGB")).astype(int)
        assert np.abs(seen - pixels[SPOON.box]).max() <= 2, percent
    assert len(guest.asked) == asked
    with Models() as opener:
        opened = refine_model.Refiner(opener.open(refiner_files["refiner"]))
        monkeypatch.setattr(refine_model, "load_refiner", lambda models=None: opened)
        for percent, contents in ((0, plain), (37, None), (100, None)):
            slide(guest, percent)
            name, content = guest.downloaded()
            said = page.locator("#command").text_content()
            assert f"--detail {percent / 100:g} --seed 2" in said or percent == 0
            assert (name, content) == by_command(said, source, None)
            assert contents in (None, content)


def test_variants_are_added_by_their_seeds_and_a_reload_keeps_them(guest, tmp_path):
    page = guest.page
    guest.send(saved(tmp_path / "photo.png"))
    guest.found(2)
    guest.restore()
    variants(guest, 4)
    page.locator("#seed").focus()
    page.keyboard.type("77")
    page.keyboard.press("Enter")
    variants(guest, 5)
    expect(page.locator("#variants label").last).to_have_text("seed 77")
    expect(page.locator("#variants input").last).to_be_checked()
    page.get_by_role("button", name="Add a variant").click()
    expect(page.locator("#variants label").last).to_have_text("seed 78", timeout=PATIENCE)
    variants(guest, 6)
    for nonsense in ("-1", "1.5", "99999999999999999999"):
        page.locator("#seed").fill(nonsense)
        page.get_by_role("button", name="Add a variant").click()
    variants(guest, 6)
    # by keyboard from one to the next
    page.locator("#variants input").nth(4).focus()
    page.keyboard.press("ArrowRight")
    expect(page.locator("#variants input").nth(5)).to_be_checked()
    page.locator("#amount").focus()
    page.keyboard.press("ArrowLeft")
    expect(page.locator("#amount")).to_have_attribute("aria-valuetext", "99 % of the detail")
    expect(page.locator("#guess")).to_contain_text("a guess")
    # what is expected to be off grows with the detail
    guest.view("doubt")
    slide(guest, 0)
    most = int(page.locator("#most").text_content())
    slide(guest, 100)
    assert int(page.locator("#most").text_content()) == pytest.approx(1.2 * most, abs=1.2)
    # what looks restored belongs to what is chosen: another map comes where that changes
    guest.view("looks")
    page.locator("#amount").focus()
    for percent in (100, 40):
        slide(guest, percent)
        expect(page.locator('.layer[data-view="looks"].stale')).to_have_count(0, timeout=PATIENCE)
        expect(page.locator("#busy")).to_be_hidden(timeout=PATIENCE)
        looks = page.request.get(f"{guest.address}/api/pictures/1").json()["result"]["looks"]
        assert looks["detail"] == percent / 100
    expect(page.locator("#legend")).to_contain_text("how sure a network is")
    page.reload()
    guest.found(2)
    guest.view("compare")
    variants(guest, 6)
    expect(page.locator("#amount")).to_have_value("0")


def test_variants_can_be_cancelled_and_asked_for_again(guest, large):
    page = guest.page
    guest.send(large)
    guest.found(2)
    page.locator("#areas input[type=checkbox]").first.uncheck()
    guest.restore()
    expect(page.locator("#busy-text")).to_contain_text("Adding detail: variant 1 of 4", timeout=PATIENCE)
    page.click("#cancel")
    expect(page.locator("#busy")).to_be_hidden(timeout=PATIENCE)
    count = page.locator("#variants input").count()
    assert count < 4
    assert guest.downloaded()[0] == "large_restored.png"
    if count == 0:
        page.click("#add-detail")
        variants(guest, 4)
    else:
        page.get_by_role("button", name="Add a variant").click()
        variants(guest, count + 1)
    slide(guest, 50)
    # writing can be cancelled as well: nothing is fetched then
    page.click("#download")
    expect(page.locator("#busy-text")).to_contain_text("Writing the file", timeout=PATIENCE)
    page.click("#cancel")
    expect(page.locator("#busy")).to_be_hidden(timeout=PATIENCE)
    expect(page.locator("#download")).to_have_text("Download large_restored.png")
    assert page.locator("#error").is_hidden()


def test_a_picture_that_is_removed_while_detail_is_added_is_no_error(guest, tmp_path):
    page = guest.page
    guest.send(saved(tmp_path / "photo.png"))
    guest.found(2)
    guest.restore()
    expect(page.locator("#busy-text")).to_contain_text("Adding detail", timeout=PATIENCE)
    page.click("#remove")
    expect(page.locator("#work")).to_be_hidden(timeout=PATIENCE)
    page.wait_for_timeout(500)  # what was asked about the picture is answered by then
    expect(page.locator("#error")).to_be_hidden()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 390])
def test_detail_has_no_barriers(browser, refined, tmp_path, scheme, width):
    with Visit(browser, refined, color_scheme=scheme, viewport={"width": width, "height": 844}) as visit:
        visit.send(saved(tmp_path / "photo.png"))
        visit.found(2)
        visit.restore()
        variants(visit, 4)
        slide(visit, 50)
        visit.page.wait_for_timeout(200)
        assert visit.violations() == []
        assert visit.page.evaluate("document.documentElement.scrollWidth") <= width
