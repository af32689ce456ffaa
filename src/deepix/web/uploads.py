"""What comes in, written to files within the limits; names of visitors are names only, never paths."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path
from typing import TYPE_CHECKING

from deepix import images
from deepix.errors import DeepixError

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.types import Message, Receive

    from deepix.web.limits import Limits

UNNAMED = "picture"
LONGEST_NAME = 120


class TooLarge(DeepixError):
    """More comes in than is taken."""


class Slow(DeepixError):
    """What comes in takes too long."""


def name_of(given: str) -> str:
    """Return the name of a visitor's file: what follows the last slash, without what cannot be seen."""
    name = re.split(r"[/\\]", given)[-1]
    name = "".join(c for c in name if c.isprintable()).strip()
    if name.strip(".") == "":
        return UNNAMED
    path = Path(name)
    suffix = path.suffix if len(path.suffix) < LONGEST_NAME // 2 else ""
    return f"{path.stem[: LONGEST_NAME - len(suffix)]}{suffix}"


def place_of(folder: Path, name: str) -> Path:
    """Return where a file of this name is put: of the visitor's name only a known suffix is kept."""
    suffix = Path(name).suffix
    return folder / f"original{suffix if suffix.lower() in images.readable_suffixes() else ''}"


def megabytes(count: int) -> str:
    """Return a number of bytes for people."""
    return f"{count / (1 << 20):.0f} MiB"


def check_length(request: Request, most: int) -> None:
    """Raise TooLarge if a request says that it brings more than so many bytes."""
    length = request.headers.get("content-length", "")
    if length.isdecimal() and int(length) > most:
        raise TooLarge(f"the file is larger than {megabytes(most)}, which is the most that this server takes")


async def receive_file(request: Request, path: Path, limits: Limits) -> None:
    """Write a request's body to a file.

    Raises
    ------
    TooLarge, Slow : it is, or takes too long
    DeepixError : it is empty
    """
    check_length(request, limits.max_bytes)
    count = 0
    try:
        async with asyncio.timeout(limits.upload_seconds):
            with path.open("wb") as file:
                async for chunk in request.stream():
                    count += len(chunk)
                    if count > limits.max_bytes:
                        raise TooLarge(f"the file is larger than {megabytes(limits.max_bytes)}")
                    await asyncio.to_thread(file.write, chunk)
    except TimeoutError as error:
        raise Slow(f"the file did not come within {limits.upload_seconds:.0f} seconds") from error
    if count == 0:
        raise DeepixError("the file is empty")


def bounded(receive: Receive, most: int) -> Receive:
    """Return what receives a request's body, and raises TooLarge once it is longer than so many bytes."""
    count = 0

    async def counted() -> Message:
        nonlocal count
        message = await receive()
        count += len(message.get("body", b""))
        if count > most:
            raise TooLarge(f"the request is larger than {megabytes(most)}")
        return message

    return counted
