"""`POST /api/restore`: a picture in, the restored file out, as `deepix restore` writes it, within the page's limits.

A form (multipart/form-data) with

    picture    the file
    area       X,Y,W,H or X,Y,W,H,CELL; may be given several times
    mask       a picture of the same size, white where pixelated
    cell       the cells' size
    threshold  the least confidence with which what is found is restored

as the options of the same names. Answered by 200 and the file; 422 and {"error": …} where nothing is restored; 413
where it is too large; 503 with Retry-After where too many wait.
"""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Awaitable, Callable
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from starlette.background import BackgroundTask
from starlette.datastructures import FormData, UploadFile
from starlette.exceptions import HTTPException
from starlette.formparsers import MultiPartException
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, Response

from deepix import images
from deepix.errors import DeepixError
from deepix.jobs.job import JobResult, RestoreJob
from deepix.options import Area, Options
from deepix.web import commands, uploads
from deepix.web.limits import Limits
from deepix.web.sessions import Sessions
from deepix.web.tasks import Done, Event, Failed, Run, Source
from deepix.web.workshop import Workshop

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

FIELDS = ("picture", "area", "mask", "cell", "threshold")
MOST_FIELDS = 1000
_OVERHEAD = 1 << 20
"""Bytes of a form besides its files."""


class Holder(Protocol):
    """What the endpoint needs of the server."""

    limits: Limits
    workshop: Workshop
    sessions: Sessions
    receiving: asyncio.Semaphore


def endpoint(server: Holder) -> Callable[[Request], Awaitable[Response]]:
    """Return what answers the requests."""

    async def restore(request: Request) -> Response:
        server.sessions.check_room(None)
        folder = server.sessions.room()
        try:
            async with server.receiving:
                task = await _received(request, folder, server.limits)
            result = await _done(server, task, request)
        except BaseException:
            shutil.rmtree(folder, ignore_errors=True)
            raise
        remove = BackgroundTask(shutil.rmtree, folder, ignore_errors=True)
        return _answer(result, task, remove)

    return restore


async def _received(request: Request, folder: Path, limits: Limits) -> Run:
    """Return the task that a form describes, its files in a folder."""
    most = 2 * limits.max_bytes + _OVERHEAD
    uploads.check_length(request, most)
    bounded = Request(request.scope, uploads.bounded(request.receive, most))
    try:
        async with (
            asyncio.timeout(limits.upload_seconds),
            bounded.form(max_files=2, max_fields=MOST_FIELDS, max_part_size=1000) as form,
        ):
            picture = form.get("picture")
            unknown = sorted(set(form) - set(FIELDS))
            if unknown or not isinstance(picture, UploadFile):
                raise DeepixError(f"the form has the fields {', '.join(FIELDS)}; 'picture' is a file")
            name = uploads.name_of(picture.filename or "")
            source = Source(path=uploads.place_of(folder, name), name=name, max_pixels=limits.max_pixels)
            await asyncio.to_thread(_keep, picture, source.path, limits)
            mask = await asyncio.to_thread(_mask, form, folder, limits)
            options = _options(form, mask, limits)
    except TimeoutError as error:
        raise uploads.Slow(f"the form did not come within {limits.upload_seconds:.0f} seconds") from error
    except (MultiPartException, HTTPException, KeyError) as error:
        raise DeepixError("the request is not a form (multipart/form-data)") from error
    output = folder / f"restored{source.path.suffix}"
    return Run(source=source, job=RestoreJob(source=source.path, output=output, options=options))


def _keep(upload: UploadFile, path: Path, limits: Limits) -> None:
    if (upload.size or 0) > limits.max_bytes:
        raise uploads.TooLarge(f"{upload.filename}: larger than {uploads.megabytes(limits.max_bytes)}")
    with path.open("wb") as file:
        shutil.copyfileobj(upload.file, file)


def _mask(form: FormData, folder: Path, limits: Limits) -> NDArray[np.bool_] | None:
    given = form.get("mask")
    if given is None:
        return None
    if not isinstance(given, UploadFile):
        raise DeepixError("'mask' is a file")
    path = folder / "mask"
    _keep(given, path, limits)
    try:
        return images.read_mask(path, max_pixels=limits.max_pixels)
    except DeepixError as error:
        raise DeepixError(str(error).replace(str(path), "mask")) from error


def _options(form: FormData, mask: NDArray[np.bool_] | None, limits: Limits) -> Options:
    cell, threshold = form.get("cell"), form.get("threshold")
    try:
        areas = tuple(_area(str(text)) for text in form.getlist("area"))
        size = None if cell is None else int(str(cell))
        least = None if threshold is None else float(str(threshold))
        return Options(areas=areas, mask=mask, cell=size, threshold=least, max_pixels=limits.max_pixels)
    except ValueError as error:
        raise DeepixError(f"not possible: {error}") from error


def _area(text: str) -> Area:
    numbers = tuple(int(part) for part in text.split(","))
    if len(numbers) not in (4, 5):
        raise ValueError(f"{text}: an area is X,Y,W,H or X,Y,W,H,CELL, in whole pixels")
    return numbers  # type: ignore[return-value]


async def _done(server: Holder, task: Run, request: Request) -> JobResult:
    """Return what became of a task; it is given up if the one who asked for it leaves."""
    events: list[Event] = []
    ticket = server.workshop.submit(task, str(task.source.path), events.append)
    finished = asyncio.create_task(ticket.finished.wait())
    gone = asyncio.create_task(_gone(request))
    try:
        await asyncio.wait((finished, gone), return_when=asyncio.FIRST_COMPLETED)
    finally:
        server.workshop.cancel(ticket)
        gone.cancel()
        await finished
        server.workshop.forget(ticket.owner)
    for event in events:
        if isinstance(event, Failed):
            raise DeepixError(event.error)
        if isinstance(event, Done):
            return event.result
    raise DeepixError("given up")


async def _gone(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass


def _answer(result: JobResult, task: Run, remove: BackgroundTask) -> Response:
    name = task.source.name
    if result.error is not None:
        error = result.error
    elif result.mosaics:
        path = result.written["output"]
        called = str(commands.restored_name(name).with_suffix(path.suffix))
        return FileResponse(path, filename=called, background=remove, headers={"Cache-Control": "no-store"})
    else:
        error = " ".join(result.notes) or f"{name}: nothing pixelated found; name it with area or mask"
    return JSONResponse({"error": error}, HTTPStatus.UNPROCESSABLE_ENTITY, background=remove)
