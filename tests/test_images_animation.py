"""Animations are read whole and written whole, or refused; never taken for a still unasked."""

from __future__ import annotations

import contextlib
from pathlib import Path

import numpy as np
import pytest
from image_cases import one_line, samples, srgb
from PIL import Image, PngImagePlugin

from deepix import images
from deepix.errors import InputError, OutputError


def drawn(count: int = 5, mode: str = "RGB", size: tuple[int, int] = (40, 30)) -> list[Image.Image]:
    """Frames with few colours, of which a part changes."""
    frames = []
    for i in range(count):
        array = np.zeros((size[1], size[0], len(mode)), np.uint8)
        array[..., 2] = 40
        array[5 + i : 15 + i, 4 * i : 4 * i + 9, :2] = 255, 40 * i
        if mode == "RGBA":
            array[..., 3] = 255
            array[i : i + 4, :7, 3] = 0
        frames.append(Image.fromarray(array))
    return frames


def saved(path: Path, frames: list[Image.Image], **options: object) -> Path:
    lossless = {"lossless": True, "exact": True} if path.suffix == ".webp" else {}
    frames[0].save(path, save_all=True, append_images=frames[1:], **{**lossless, **options})
    return path


@pytest.mark.parametrize("suffix", ["gif", "webp", "png"])
def test_an_animation_is_no_still_unless_its_first_frame_is_asked_for(tmp_path: Path, suffix: str) -> None:
    path = saved(tmp_path / f"a.{suffix}", drawn())
    for call in (images.read, images.load, lambda p: images.load(p.read_bytes())):
        with pytest.raises(InputError, match="--first-frame"):
            call(path)
    with pytest.raises(InputError) as error:
        images.read(path)
    one_line(error, path)
    p = images.read(path, first_frame=True)
    assert np.array_equal(p.pixels, np.asarray(drawn()[0]))
    assert p.notes == ("the file holds 5 pictures; only the first is used",)
    assert images.is_animated(path)


@pytest.mark.parametrize("suffix", ["gif", "webp", "png"])
@pytest.mark.parametrize("mode", ["RGB", "RGBA"])
@pytest.mark.parametrize("target", ["png", "webp"])
def test_every_frame_comes_back(tmp_path: Path, suffix: str, mode: str, target: str) -> None:
    durations = [100, 40, 250, 70, 1000]
    extra = {"disposal": 2} if suffix == "gif" and mode == "RGBA" else {}
    path = saved(tmp_path / f"a.{suffix}", drawn(mode=mode), duration=durations, loop=0, **extra)
    first = images.read_frames(path)
    assert first.durations == tuple(durations)
    assert first.plays == 0
    images.write_frames(first, tmp_path / f"b.{target}")
    second = images.read_frames(tmp_path / f"b.{target}")
    assert second.durations == first.durations
    assert second.plays == 0
    for truth, a, b in zip(drawn(mode=mode), first.frames, second.frames, strict=True):
        wanted = np.asarray(truth)
        shown = wanted[..., 3] > 0 if mode == "RGBA" else np.ones(wanted.shape[:2], bool)
        for frame in (a, b):
            assert np.array_equal(frame.pixels[shown], wanted[shown][:, :3])
            assert frame.alpha is None or np.array_equal(frame.alpha > 0, shown)
        assert np.array_equal(a.pixels[shown], b.pixels[shown])


def test_a_lossy_sequence_is_an_animation_too(tmp_path: Path) -> None:
    path = saved(tmp_path / "a.avif", drawn(), duration=[100, 40, 250, 70, 1000], quality=95)
    with pytest.raises(InputError, match="--first-frame"):
        images.read(path)
    animation = images.read_frames(path)
    assert animation.durations == (100, 40, 250, 70, 1000)
    assert all(frame.lossy for frame in animation.frames)
    assert len({frame.pixels.tobytes() for frame in animation.frames}) == 5


@pytest.mark.parametrize("target", ["png", "webp"])
def test_frames_of_photos_come_back_bit_for_bit(tmp_path: Path, target: str) -> None:
    frames = tuple(images.from_array(samples("RGB", seed=i)) for i in range(4))
    images.write_frames(images.Animation(frames, (10, 20, 30, 40), 3), tmp_path / f"a.{target}")
    after = images.read_frames(tmp_path / f"a.{target}")
    assert after.plays == 3
    assert after.durations == (10, 20, 30, 40)
    assert all(np.array_equal(a.pixels, b.pixels) for a, b in zip(frames, after.frames, strict=True))


@pytest.mark.parametrize(("loop", "plays"), [(None, 1), (0, 0), (4, 5)])
def test_how_often_a_gif_is_played(tmp_path: Path, loop: int | None, plays: int) -> None:
    path = saved(tmp_path / "a.gif", drawn(), **({} if loop is None else {"loop": loop}))
    first = images.read_frames(path)
    assert first.plays == plays
    images.write_frames(first, tmp_path / "b.png")
    assert images.read_frames(tmp_path / "b.png").plays == plays


def test_what_the_file_says_is_kept(tmp_path: Path) -> None:
    texts = PngImagePlugin.PngInfo()
    texts.add_text("Title", "a title")
    path = saved(tmp_path / "a.png", drawn(), icc_profile=srgb(), pnginfo=texts)
    images.write_frames(images.read_frames(path), tmp_path / "b.png")
    kept = images.read_frames(tmp_path / "b.png").frames[0].metadata
    assert kept["icc_profile"] == srgb()
    assert kept["text"] == {"Title": "a title"}
    images.write_frames(images.read_frames(path), tmp_path / "b.webp")
    assert images.read_frames(tmp_path / "b.webp").frames[0].metadata["icc_profile"] == srgb()


def test_a_still_before_the_animation_stays_one(tmp_path: Path) -> None:
    path = saved(tmp_path / "a.png", drawn(4), default_image=True, duration=50)
    first = images.read_frames(path)
    assert first.still
    assert len(first.frames) == 4
    images.write_frames(first, tmp_path / "b.png")
    second = images.read_frames(tmp_path / "b.png")
    assert second.still
    assert second.durations[1:] == (50, 50, 50)
    assert all(np.array_equal(a.pixels, b.pixels) for a, b in zip(first.frames, second.frames, strict=True))
    images.write_frames(first, tmp_path / "b.webp")
    assert len(images.read_frames(tmp_path / "b.webp").frames) == 3


def test_frames_of_several_modes_become_one(tmp_path: Path) -> None:
    gray = images.from_array(samples("L"))
    path = saved(tmp_path / "a.gif", [Image.fromarray(samples("L")), *drawn(2, "RGBA", (13, 11))], disposal=2)
    animation = images.read_frames(path)
    assert len({frame.mode for frame in animation.frames}) == 1
    assert np.array_equal(animation.frames[0].pixels, np.dstack([gray.pixels] * 3))


def test_other_pictures_are_animations_of_one_frame(tmp_path: Path) -> None:
    for suffix in ("png", "jpg", "tif"):
        frames = drawn()
        frames[0].save(tmp_path / f"a.{suffix}")
        single = images.read_frames(tmp_path / f"a.{suffix}")
        assert np.array_equal(single.frames[0].pixels, images.read(tmp_path / f"a.{suffix}").pixels)
        assert not images.is_animated(tmp_path / f"a.{suffix}")
    saved(tmp_path / "pages.tif", drawn())  # pages, not frames: the first is read and the others are named
    assert not images.is_animated(tmp_path / "pages.tif")
    assert "only the first" in images.read(tmp_path / "pages.tif").notes[0]


def test_pixels_times_frames_are_bounded_before_they_are_decoded(tmp_path: Path) -> None:
    path = saved(tmp_path / "a.webp", [Image.new("RGB", (2000, 2000), (i, 0, 0)) for i in range(12)])
    with pytest.raises(InputError, match="all frames together have more than 40 megapixels") as error:
        images.read_frames(path, max_pixels=40_000_000)
    one_line(error, path)
    with pytest.raises(InputError, match="more than 3 megapixels"):
        images.read_frames(path, max_pixels=3_000_000)


def test_animations_are_written_without_loss_or_refused(tmp_path: Path) -> None:
    animation = images.read_frames(saved(tmp_path / "a.gif", drawn()))
    for name, why in (("b.gif", "256 colours"), ("b.jpg", "use one of .png, .webp"), ("a.gif", "256 colours")):
        with pytest.raises(OutputError, match=why):
            images.write_frames(animation, tmp_path / name)
    wide = animation.with_frames([images.from_array(samples("RGB;16"))] * 5)
    with pytest.raises(OutputError, match="8-bit"):
        images.write_frames(wide, tmp_path / "b.png")
    with pytest.raises(ValueError, match="1 frames for an animation of 5"):
        animation.with_frames(animation.frames[:1])
    own = saved(tmp_path / "own.png", drawn())
    with pytest.raises(OutputError, match="is the input"):
        images.write_frames(images.read_frames(own), own, overwrite=True)
    assert {p.name for p in tmp_path.iterdir()} == {"a.gif", "own.png"}


def test_a_cut_off_animation_is_one_line(tmp_path: Path) -> None:
    for suffix in ("gif", "webp", "png"):
        path = saved(tmp_path / f"a.{suffix}", drawn())
        content = path.read_bytes()
        for length in np.linspace(10, len(content) - 2, 15).astype(int):
            path.write_bytes(content[:length])
            with contextlib.suppress(InputError):  # or the frames that are there
                images.read_frames(path)
