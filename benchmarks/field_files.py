"""What files do to mosaics: video, palettes, WebP, AVIF and HEIC."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from field_case import Canvas, Case, Rng, draw_box, fitted, log_whole, pick
from field_found import with_mosaics
from field_mosaics import EVEN, UNEVEN
from field_programs import called, converted, decoded, encoded, ppm, there
from finding import lines_show
from numpy.typing import NDArray
from PIL import Image

from deepix.mosaic import Mosaic, pixelate

Array = NDArray[Any]
LOSSY = 2.5
"""Levels by which each line of a mosaic must change the picture before the file takes its share."""


class Saved(NamedTuple):
    """A file that a program wrote: its bytes, the end of its name, how, and the programs."""

    content: bytes
    suffix: str
    how: str
    programs: tuple[str, ...]


class Writer(NamedTuple):
    """One way of writing files of a kind: the programs that it needs, and what it does."""

    needs: tuple[str, ...]
    save: Callable[[Array, Rng], Saved]


def _with(name: str, kind: str, suffix: str, low: int, high: int, *needs: str) -> Writer:
    """Return the way Pillow writes a format, with qualities low … high."""

    def save(pixels: Array, rng: Rng) -> Saved:
        quality = int(rng.integers(low, high + 1))
        return Saved(encoded(pixels, kind, quality=quality), suffix, f"{name} {quality}", (name,))

    return Writer((name, *needs), save)


def _by(name: str, suffix: str, arguments: Callable[[int], list[str]], low: int, high: int) -> Writer:
    """Return the way a program writes a format."""

    def save(pixels: Array, rng: Rng) -> Saved:
        quality = int(rng.integers(low, high + 1))
        content = converted(name, arguments(quality), encoded(pixels, "PNG"), (".png", suffix))
        return Saved(content, suffix, f"{name} {quality}", (name,))

    return Writer((name,), save)


def _heif(pixels: Array, rng: Rng) -> Saved:
    from pillow_heif import from_pillow

    quality, buffer = int(rng.integers(45, 91)), io.BytesIO()
    from_pillow(Image.fromarray(pixels)).save(buffer, quality=quality)
    return Saved(buffer.getvalue(), ".heic", f"pillow-heif {quality}", ("pillow-heif",))


WEBP = [
    _with("Pillow WebP", "WEBP", ".webp", 40, 95),
    _by("cwebp", ".webp", lambda q: ["-quiet", "-q", str(q), "IN", "-o", "OUT"], 40, 95),
]
AVIF = [
    _with("Pillow AVIF", "AVIF", ".avif", 45, 90),
    _by("avifenc", ".avif", lambda q: ["--min", str(q), "--max", str(q), "-s", "8", "-j", "1", "IN", "OUT"], 12, 36),
]
HEIC = [
    Writer(("pillow-heif",), _heif),
    _by("heif-enc", ".heic", lambda q: ["-q", str(q), "-o", "OUT", "IN"], 45, 90),
]


# ── palettes ─────────────────────────────────────────────────────────────────────────────────────


def _pillow_palette(pixels: Array, rng: Rng) -> Saved:
    colours, dithered = int(pick((256, 256, 128, 64), rng)), rng.random() < 0.8
    dither = Image.Dither.FLOYDSTEINBERG if dithered else Image.Dither.NONE
    image = Image.fromarray(pixels)
    table = image.quantize(colours, method=pick((Image.Quantize.MEDIANCUT, Image.Quantize.FASTOCTREE), rng))
    return _palette_file(image.quantize(palette=table, dither=dither), f"Pillow {colours} colours {dither.name}", rng)


def _palette_file(image: Image.Image, how: str, rng: Rng) -> Saved:
    kind = pick(("GIF", "PNG"), rng)
    buffer = io.BytesIO()
    image.save(buffer, kind)
    return Saved(buffer.getvalue(), f".{kind.lower()}", f"{how}, {kind}", ("Pillow",))


def _magick_palette(pixels: Array, rng: Rng) -> Saved:
    colours, kind = int(pick((256, 256, 128, 64), rng)), pick(("gif", "png8"), rng)
    dither = pick(("Riemersma", "FloydSteinberg"), rng)
    content = called("ImageMagick", ["ppm:-", "-dither", dither, "-colors", str(colours), f"{kind}:-"], ppm(pixels))
    return Saved(content, f".{kind[:3]}", f"ImageMagick {kind}, {colours} colours {dither}", ("ImageMagick",))


def _pngquant(pixels: Array, rng: Rng) -> Saved:
    colours, floyd = int(pick((256, 256, 128, 64), rng)), pick(("1", "0.5", "0"), rng)
    content = called("pngquant", [f"--floyd={floyd}", str(colours), "-"], encoded(pixels, "PNG"))
    return Saved(content, ".png", f"pngquant {colours} colours, dither {floyd}", ("pngquant",))


def _ffmpeg_palette(pixels: Array, rng: Rng) -> Saved:
    dither = pick(("sierra2_4a", "bayer:bayer_scale=3", "floyd_steinberg", "none"), rng)
    graph = f"split[a][b];[a]palettegen[p];[b][p]paletteuse=dither={dither}"
    pipe = ["-loglevel", "error", "-f", "image2pipe", "-c:v", "ppm", "-i", "-"]
    content = called("ffmpeg", [*pipe, "-vf", graph, "-f", "gif", "-"], ppm(pixels))
    return Saved(content, ".gif", f"ffmpeg paletteuse {dither}", ("ffmpeg",))


PALETTES = [
    Writer(("Pillow",), _pillow_palette),
    Writer(("ImageMagick",), _magick_palette),
    Writer(("pngquant",), _pngquant),
    Writer(("ffmpeg",), _ffmpeg_palette),
]


def written(writers: list[Writer]) -> Callable[[Array, Rng], Case | None]:
    """Return what draws a picture with mosaics and has it written in one of these ways."""

    def make(photo: Array, rng: Rng) -> Case | None:
        ways = [writer for writer in writers if there(*writer.needs)]
        canvas = with_mosaics(fitted(photo, rng), rng, {**EVEN, **UNEVEN}, (5, 40), whole=True, least=LOSSY)
        if canvas is None or not ways:
            return None
        saved = pick(ways, rng).save(canvas.pixels, rng)
        canvas.how.append(saved.how)
        canvas.programs.update(saved.programs)
        return canvas.case(saved.content, saved.suffix)

    return make


# ── video ────────────────────────────────────────────────────────────────────────────────────────

FRAMES, SHIFT = 10, 24
"""Frames of a video, and pixels by which the camera moves at most meanwhile."""


def _x264(rng: Rng) -> list[str]:
    preset = pick(("veryfast", "fast", "medium"), rng)
    return ["-c:v", "libx264", "-crf", str(int(rng.integers(18, 29))), "-preset", preset, "-threads", "1"]


def _mpeg(rng: Rng) -> list[str]:
    return ["-c:v", pick(("mpeg2video", "mpeg4"), rng), "-q:v", str(int(rng.integers(2, 9))), "-g", "12"]


def frame_of(frames: list[Array], codec: list[str], number: int, graph: str = "null") -> tuple[Array, str]:
    """Encode frames as 4:2:0 video after a filter graph; return one of them as it is decoded, and how."""
    height, width = frames[0].shape[:2]
    raw = ["-f", "rawvideo", "-pix_fmt", "rgb24"]
    source = [*raw, "-s", f"{width}x{height}", "-r", "25", "-i", "-"]
    encode = ["-filter_complex", f"format=yuv420p,{graph}", "-pix_fmt", "yuv420p", *codec, "-f", "matroska", "-"]
    quiet = ["-loglevel", "error"]
    video = called("ffmpeg", [*quiet, *source, *encode], b"".join(np.ascontiguousarray(f).tobytes() for f in frames))
    chosen = ["-vf", f"select=eq(n\\,{number})", "-frames:v", "1", "-f", "image2pipe", "-c:v", "ppm", "-"]
    return decoded(called("ffmpeg", [*quiet, "-i", "-", *chosen], video)), f"{' '.join(codec)} frame {number}"


def _panned(photo: Array, rng: Rng) -> list[Array]:
    """Return frames of a photo over which the camera moves, or stands still."""
    height, width = ((side - SHIFT) // 2 * 2 for side in photo.shape[:2])
    ends = rng.random((2, 2)) * SHIFT * (rng.random() < 0.8)
    places = [np.rint(ends[0] + (ends[1] - ends[0]) * k / (FRAMES - 1)).astype(int) for k in range(FRAMES)]
    return [photo[y : y + height, x : x + width] for y, x in places]


def video(codec: Callable[[Rng], list[str]]) -> Callable[[Array, Rng], Case | None]:
    """Return what draws a frame of a video whose frames have the same area pixelated, by ffmpeg or before it."""

    def make(photo: Array, rng: Rng) -> Case | None:
        frames, number = _panned(fitted(photo, rng), rng), int(rng.integers(FRAMES))
        shape = frames[0].shape
        for _ in range(20):
            side = log_whole(rng, 6, 48)
            own = rng.random() < 0.5
            box = draw_box(shape, (side, side), rng, whole=rng.random() < 0.5)
            if box is None:
                continue
            x, y, w, h = (v // 2 * 2 for v in box) if own else box
            side = side // 2 * 2 if own else side
            m = Mosaic.rectangle(x, y, w, h, side)
            hidden = pixelate(frames[number], [m])
            columns, rows = m.cells.column_index, m.cells.row_index
            if not lines_show(frames[number][m.box], hidden[m.box], columns, rows, LOSSY):
                continue
            how = f"cells of {side} in {x},{y},{w},{h}"
            if own:
                area = f"crop={w}:{h}:{x}:{y},pixelize={side}:{side}"
                pixels, told = frame_of(frames, codec(rng), number, f"split[a][b];[b]{area}[c];[a][c]overlay={x}:{y}")
                how = f"ffmpeg pixelize in yuv420p, {how}"
            else:
                pixels, told = frame_of([pixelate(f, [m]) for f in frames], codec(rng), number)
            canvas = Canvas(frames[number], pixels, np.zeros(shape[:2], np.uint8), [m.grid], [how, told], {"ffmpeg"})
            canvas.labels[m.box] = 1
            return canvas.case(encoded(pixels, "PNG"), ".png")
        return None

    return make


x264, mpeg = video(_x264), video(_mpeg)


def clean_mpeg(photo: Array, rng: Rng) -> Case:
    """Save a frame of an MPEG-2 or MPEG-4 video without mosaics as PNG, now and then resized as players do."""
    number = int(rng.integers(FRAMES))
    # most as coarse as at low bit rates, where blocks are plain to see; the others at the rate that ffmpeg chooses
    quality = ["-q:v", str(int(rng.integers(6, 32)))] if rng.random() < 0.7 else []
    codec = ["-c:v", pick(("mpeg2video", "mpeg4"), rng), *quality, "-g", "12"]
    pixels, how = frame_of(_panned(fitted(photo, rng), rng), codec, number)
    return Case(encoded(pixels, "PNG"), ".png", [], [how], {"ffmpeg"})
