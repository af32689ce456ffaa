"""Whose picture is whose. A visitor is known by a random number in a cookie, and by nothing else.

All that is kept of a visitor lies in one folder, which goes when they say so, have been gone for a while, or the server
stops.
"""

from __future__ import annotations

import asyncio
import itertools
import os
import secrets
import shutil
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

from deepix.errors import DeepixError
from deepix.web.limits import Limits
from deepix.web.pictures import Picture
from deepix.web.tasks import Source
from deepix.web.workshop import Workshop

PREFIX = "deepix-web-"
PER_PIXEL = 16
"""Bytes of the files that are kept of a picture, for each of its pixels: three views, the restored file."""


@dataclass
class Session:
    """A visitor.

    Attributes
    ----------
    key : the random number
    folder : all that is kept
    pictures : by their numbers
    seen : when the visitor was last heard of, on the clock that does not go back
    """

    key: str
    folder: Path
    pictures: dict[int, Picture] = field(default_factory=dict)
    seen: float = field(default_factory=time.monotonic)

    def __post_init__(self) -> None:
        self._numbers = itertools.count(1)

    @property
    def busy(self) -> bool:
        """Whether something is being done, or waits to be, with one of the pictures."""
        return any(picture.ticket is not None for picture in self.pictures.values())

    def place(self) -> tuple[int, Path]:
        """Return a new picture's number and its folder."""
        number = next(self._numbers)
        folder = self.folder / str(number)
        folder.mkdir()
        return number, folder


class Sessions:
    """All visitors.

    Parameters
    ----------
    limits : how many pictures, how much
    workshop : where tasks of visitors who go are given up
    """

    def __init__(self, limits: Limits, workshop: Workshop) -> None:
        self._limits = limits
        self._workshop = workshop
        self._sessions: dict[str, Session] = {}
        self._root = Path(tempfile.mkdtemp(prefix=f"{PREFIX}{os.getpid()}-"))

    def find(self, key: str | None) -> Session | None:
        """Return the visitor with this number, who has been heard of now."""
        session = self._sessions.get(key or "")
        if session is not None:
            session.seen = time.monotonic()
        return session

    def new(self) -> Session:
        """Return a new visitor."""
        key = secrets.token_urlsafe(32)
        folder = self.room()
        self._sessions[key] = Session(key, folder)
        return self._sessions[key]

    def room(self) -> Path:
        """Return a new folder, for whoever removes it."""
        return Path(tempfile.mkdtemp(dir=self._root))

    def check_room(self, session: Session | None) -> None:
        """Check that a further picture may be taken in.

        Raises
        ------
        DeepixError : there are too many, of this visitor or of all
        """
        if session is not None and len(session.pictures) >= self._limits.pictures:
            raise DeepixError(f"there are {self._limits.pictures} pictures already: remove one first")
        if self.stored() + self._limits.max_bytes > self._limits.stored:
            raise DeepixError("the server holds as many pictures as it may: try again later")

    def stored(self) -> int:
        """Return about how many bytes are kept of all visitors."""
        total = 0
        for session in self._sessions.values():
            for picture in session.pictures.values():
                width, height = picture.size or (0, 0)
                total += picture.uploaded + PER_PIXEL * width * height
        return total

    def add(self, session: Session, number: int, folder: Path, source: Source) -> Picture:
        """Return a visitor's new picture."""
        picture = Picture(number, folder, source, uploaded=source.path.stat().st_size)
        session.pictures[number] = picture
        return picture

    async def remove(self, session: Session, picture: Picture) -> None:
        """Forget a picture; what is done with it is given up."""
        session.pictures.pop(picture.number, None)
        if picture.ticket is not None:
            ticket = picture.ticket
            self._workshop.cancel(ticket)
            await ticket.finished.wait()
        picture.touch()
        await asyncio.to_thread(shutil.rmtree, picture.folder, ignore_errors=True)

    async def end(self, session: Session) -> None:
        """Forget a visitor."""
        self._sessions.pop(session.key, None)
        for picture in list(session.pictures.values()):
            await self.remove(session, picture)
        self._workshop.forget(session.key)
        await asyncio.to_thread(shutil.rmtree, session.folder, ignore_errors=True)

    async def watch(self) -> None:
        """Forget visitors who have gone, for ever."""
        while True:
            await asyncio.sleep(min(30.0, self._limits.idle / 4))
            late = time.monotonic() - self._limits.idle
            for session in [s for s in self._sessions.values() if s.seen < late and not s.busy]:
                await self.end(session)

    def close(self) -> None:
        """Remove all that is kept."""
        self._sessions.clear()
        shutil.rmtree(self._root, ignore_errors=True)


def sweep() -> None:
    """Remove what servers left that were killed: folders named after processes that there are no more."""
    if os.name != "posix":
        return
    for folder in Path(tempfile.gettempdir()).glob(f"{PREFIX}*-*"):
        number = folder.name.removeprefix(PREFIX).partition("-")[0]
        if number.isdecimal() and not _alive(int(number)) and folder.stat().st_uid == os.getuid():
            shutil.rmtree(folder, ignore_errors=True)


def _alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # somebody else's
        return True
    return True
