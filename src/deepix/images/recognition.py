"""What a file is by its first bytes, where it is no picture that is read here: "not supported" is not "damaged"."""

from __future__ import annotations

import re
from importlib.util import find_spec
from typing import NamedTuple

LENGTH = 512
"""How many bytes of a file's beginning tell."""


class Plugin(NamedTuple):
    """A package that teaches Pillow a format.

    Attributes
    ----------
    module : its name for `import`
    install : what to type to install it
    """

    module: str
    install: str

    @property
    def installed(self) -> bool:
        """Whether it can be imported."""
        return find_spec(self.module) is not None


class Kind(NamedTuple):
    """What a file is.

    Attributes
    ----------
    name : with its article, as it stands after "this is"
    plugin : what reads it
    suffixes : of such files, where a plugin reads them
    """

    name: str
    plugin: Plugin | None = None
    suffixes: tuple[str, ...] = ()


HEIF = Kind("a HEIC picture", Plugin("pillow_heif", "pip install 'deepix[heif]'"), (".heic", ".heif", ".hif"))
JPEG_XL = Kind("a JPEG XL picture", Plugin("pillow_jxl", "pip install pillow-jxl-plugin"), (".jxl",))

_BRANDS = {
    **dict.fromkeys((b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs", b"mif1", b"msf1"), HEIF),
    **dict.fromkeys((b"avif", b"avis"), Kind("an AVIF picture")),
    b"crx ": Kind("a camera's raw file (CR3)"),
    b"qt  ": Kind("a QuickTime video"),
    **dict.fromkeys((b"M4A ", b"M4B "), Kind("a sound file")),
}
"""Brands of the container that MP4 and HEIF share (ISO/IEC 14496-12 §4.3, 23008-12 annex B, 23000-22 §7)."""

_SIGNATURES = (
    (rb"\xff\x0a|\0\0\0\x0cJXL \r\n\x87\n", JPEG_XL),  # ISO/IEC 18181-1, 18181-2
    (rb"%PDF-", Kind("a PDF document")),
    (rb"\x1aE\xdf\xa3", Kind("a WebM or Matroska video")),
    (rb"RIFF....AVI ", Kind("an AVI video")),
    (rb"RIFF....WAVE|ID3|OggS|fLaC", Kind("a sound or Ogg file")),
    (rb"FLV\x01", Kind("a Flash video")),
    (rb"\0\0\x01[\xba\xb3]", Kind("an MPEG video")),
    (rb"II\*\0.{4}CR", Kind("a camera's raw file (CR2)")),
    (rb"FUJIFILMCCD-RAW|IIR[OS]|IIU\0|FOVb|\0MRM", Kind("a camera's raw file")),
    (rb"gimp xcf", Kind("a GIMP file (XCF)")),
    (rb"8BPS", Kind("a Photoshop file of a kind (16 bits, or other than RGB, gray and CMYK)")),
    (rb"v/1\x01", Kind("an OpenEXR picture")),
    (rb"#\?(RADIANCE|RGBE)", Kind("a Radiance HDR picture")),
    (rb"%!PS", Kind("a PostScript file")),
    (rb"II\xbc\x01", Kind("a JPEG XR picture")),
    (rb"\x89JNG|\x8aMNG", Kind("a JNG or MNG picture")),
    (rb"PK\x03\x04", Kind("a zip archive or a document")),
    (rb"\x1f\x8b|BZh|\xfd7zXZ|7z\xbc\xaf|Rar!", Kind("a compressed archive")),
    (rb"(\xef\xbb\xbf)?\s*(<\?xml|<!--|<!DOCTYPE svg).{0,480}<svg|(\xef\xbb\xbf)?\s*<svg", Kind("an SVG drawing")),
    (rb"(?i)\s*<(!doctype )?html", Kind("a web page")),
)

_READ = (
    (rb"\x89PNG\r\n\x1a\n", "PNG"),
    (rb"\xff\xd8\xff", "JPEG"),
    (rb"GIF8[79]a", "GIF"),
    (rb"RIFF....WEBP", "WebP"),
    (rb"II[*+]\0|MM\0[*+]", "TIFF"),
    (rb"BM", "BMP"),
    (rb"\0\0\0\x0cjP  \r\n\x87\n|\xffO\xffQ", "JPEG 2000"),
    (rb"qoif", "QOI"),
    (rb"DDS ", "DDS"),
    (rb"P[1-7fF][ \t\r\n#]", "PNM"),
)


def kind_of(beginning: bytes) -> Kind | None:
    """Return what a file is that Pillow does not read by itself; None if its beginning tells nothing.

    Parameters
    ----------
    beginning : the first `LENGTH` bytes, or all if there are fewer
    """
    if beginning[4:8] == b"ftyp":
        size = int.from_bytes(beginning[:4])
        brands = [beginning[8:12], *(beginning[i : i + 4] for i in range(16, min(size, len(beginning) - 3), 4))]
        if brands[0] == b"mif1" and b"avif" in brands:
            return _BRANDS[b"avif"]
        return next((_BRANDS[brand] for brand in brands if brand in _BRANDS), Kind("an MP4 video"))
    return next((kind for pattern, kind in _SIGNATURES if re.match(pattern, beginning, re.DOTALL)), None)


def read_as(beginning: bytes) -> str | None:
    """Return the format, of those that are read, whose signature a file begins with."""
    return next((name for pattern, name in _READ if re.match(pattern, beginning, re.DOTALL)), None)


def advice(kind: Kind) -> str:
    """Say what a file of this kind is, and what to do with it."""
    if kind.plugin is None:
        return f"this is {kind.name}, which Deepix does not read; convert it to PNG first"
    return f"this is {kind.name}; to read it: {kind.plugin.install}"
