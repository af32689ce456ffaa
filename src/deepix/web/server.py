"""The addresses of the server, and what each does.

    GET    /                                        the page
    GET    /static/…                                its files
    POST   /api/pictures?name=…                     a file, as the body                     ─▶ its number
    GET    /api/pictures                            the numbers and names of the visitor's pictures
    GET    /api/pictures/N?seen=V                   what is known of it; with V, once that is more than version V
    DELETE /api/pictures/N
    POST   /api/pictures/N/areas                    {box | strokes, cell}: marks an area
    POST   /api/pictures/N/areas/A                  {cell}: gives it cells of another size
    DELETE /api/pictures/N/areas/A
    POST   /api/pictures/N/restore                  {areas}: restores these
    POST   /api/pictures/N/variants                 {seeds}: gives the restoration all detail of each of these seeds
    POST   /api/pictures/N/file                     {detail, seed}: writes the restored file with so much detail
    POST   /api/pictures/N/cancel                   gives up what is being done
    GET    /api/pictures/N/views/VIEW?box=x,y,w,h   the small picture, or a part at its full size
    GET    /api/pictures/N/result?detail=D&seed=S   the restored file; with detail, once that was written
    GET    /api/pictures/N/areas.json               its areas for the command line
    DELETE /api/session                             forgets all of it
    POST   /api/restore                             for programs, see `deepix.web.programs`

What belongs to a visitor is found by the cookie only: one visitor's addresses mean nothing to another.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from http import HTTPStatus
from importlib import resources
from pathlib import Path
from typing import Any

from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import FileResponse, JSONResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from deepix import __version__
from deepix.errors import DeepixError
from deepix.inference.models import shipped
from deepix.restorer.refine_model import ADVERSARY, REFINER
from deepix.web import programs, uploads, views
from deepix.web.limits import MAX_CROP, MAX_REQUEST, Limits
from deepix.web.pictures import Picture
from deepix.web.sessions import PER_PIXEL_REFINED, Session, Sessions, sweep
from deepix.web.tasks import Source, Task
from deepix.web.workshop import Full, Workshop

WAIT = 20.0
"""Seconds after which who waits for a change is answered without one."""
UPLOADS = 8
"""Files that come in at the same time; further ones wait."""

Handler = Callable[[Request], Awaitable[Response]]


class NotThere(DeepixError):
    """The visitor has no such thing."""


class Server:
    """The application with what it holds.

    Parameters
    ----------
    limits : how much it takes on
    cookie : the name of the visitors' cookie
    """

    def __init__(self, limits: Limits, cookie: str) -> None:
        self.limits = limits
        self.workshop = Workshop(limits.waiting)
        self.sessions = Sessions(limits, self.workshop)
        self.receiving = asyncio.Semaphore(UPLOADS)
        self._cookie = cookie

    def application(self) -> Starlette:
        """Return the ASGI application."""
        one, area = "/api/pictures/{number:int}", "/api/pictures/{number:int}/areas/{area:int}"
        routes = [
            Route("/", self._page),
            Route("/api/about", self._about),
            Route("/api/pictures", self._receive, methods=["POST"]),
            Route("/api/pictures", self._list),
            Route(one, self._tell),
            Route(one, self._remove, methods=["DELETE"]),
            Route(f"{one}/areas", self._mark, methods=["POST"]),
            Route(area, self._refit, methods=["POST"]),
            Route(area, self._unmark, methods=["DELETE"]),
            Route(f"{one}/restore", self._restore, methods=["POST"]),
            Route(f"{one}/variants", self._refine, methods=["POST"]),
            Route(f"{one}/file", self._keep, methods=["POST"]),
            Route(f"{one}/looks", self._judge, methods=["POST"]),
            Route(f"{one}/cancel", self._cancel, methods=["POST"]),
            Route(f"{one}/views/{{view}}", self._view),
            Route(f"{one}/result", self._result),
            Route(f"{one}/areas.json", self._areas),
            Route("/api/session", self._forget, methods=["DELETE"]),
            Route("/api/restore", programs.endpoint(self), methods=["POST"]),
            Mount("/static", StaticFiles(directory=_static())),
        ]
        errors: dict[Any, Callable[[Request, Exception], Response]] = {
            DeepixError: _in_one_line,
            Exception: _unexpected,
        }
        return Starlette(routes=routes, lifespan=self._life, exception_handlers=errors)

    @asynccontextmanager
    async def _life(self, _: Starlette) -> AsyncIterator[None]:
        sweep()
        self.workshop.start()
        watch = asyncio.create_task(self.sessions.watch())
        try:
            yield
        finally:
            watch.cancel()
            await asyncio.to_thread(self.workshop.stop)
            self.sessions.close()

    # ── the page ─────────────────────────────────────────────────────────────────────────────────

    async def _page(self, request: Request) -> Response:
        return FileResponse(_static() / "index.html", headers={"Cache-Control": "no-cache"})

    async def _about(self, request: Request) -> Response:
        limits = {"maxBytes": self.limits.max_bytes, "maxPixels": self.limits.max_pixels}
        there = await asyncio.to_thread(shipped)
        models = {"detail": REFINER in there, "looks": {REFINER, ADVERSARY} <= set(there)}
        return _json({"version": __version__, **limits, "pictures": self.limits.pictures, **models})

    # ── pictures ─────────────────────────────────────────────────────────────────────────────────

    async def _receive(self, request: Request) -> Response:
        session = self.sessions.find(request.cookies.get(self._cookie))
        self.sessions.check_room(session)
        uploads.check_length(request, self.limits.max_bytes)
        name = uploads.name_of(request.query_params.get("name", ""))
        new = session is None
        session = session or self.sessions.new()
        number, folder = session.place()
        source = Source(path=uploads.place_of(folder, name), name=name, max_pixels=self.limits.max_pixels)
        try:
            async with self.receiving:
                await uploads.receive_file(request, source.path, self.limits)
            picture = self.sessions.add(session, number, folder, source)
            self._do(session, picture, picture.look(), "reading")
        except BaseException:
            session.pictures.pop(number, None)
            await asyncio.to_thread(_remove_folder, folder)
            if new:
                await self.sessions.end(session)
            raise
        response = _json({"id": number}, HTTPStatus.CREATED)
        if new:
            secure = request.url.scheme == "https"
            response.set_cookie(self._cookie, session.key, httponly=True, samesite="strict", secure=secure)
        return response

    async def _list(self, request: Request) -> Response:
        session = self.sessions.find(request.cookies.get(self._cookie))
        pictures = [] if session is None else session.pictures.values()
        return _json({"pictures": [{"id": p.number, "name": p.source.name} for p in pictures]})

    async def _tell(self, request: Request) -> Response:
        _, picture = self._found(request)
        seen = request.query_params.get("seen", "")
        if seen.isdecimal():
            ahead = self._ahead(picture)

            def changed() -> bool:
                return picture.version > int(seen) or self._ahead(picture) != ahead

            with suppress(TimeoutError):
                async with asyncio.timeout(1.0 if ahead else WAIT), picture.changed:
                    await picture.changed.wait_for(changed)
            self._found(request)
        return _json(picture.to_dict(self._ahead(picture)))

    async def _remove(self, request: Request) -> Response:
        session, picture = self._found(request)
        await self.sessions.remove(session, picture)
        return _json({})

    async def _forget(self, request: Request) -> Response:
        session = self.sessions.find(request.cookies.get(self._cookie))
        if session is not None:
            await self.sessions.end(session)
        response = _json({})
        response.delete_cookie(self._cookie, httponly=True, samesite="strict")
        return response

    # ── what is done with a picture ──────────────────────────────────────────────────────────────

    async def _mark(self, request: Request) -> Response:
        session, picture = self._idle(request)
        self._do(session, picture, picture.fit(await _asked(request)), "fitting")
        return _json({}, HTTPStatus.ACCEPTED)

    async def _refit(self, request: Request) -> Response:
        session, picture = self._idle(request)
        task = picture.refit(request.path_params["area"], (await _asked(request)).get("cell"))
        if task is not None:
            self._do(session, picture, task, "fitting")
        return _json({}, HTTPStatus.ACCEPTED)

    async def _unmark(self, request: Request) -> Response:
        _, picture = self._idle(request)
        picture.remove(request.path_params["area"])
        return _json({})

    async def _restore(self, request: Request) -> Response:
        session, picture = self._idle(request)
        asked = await _asked(request)
        former = picture.outcome
        task = picture.restore(asked.get("areas"), asked.get("cellValue"))
        task.folder.mkdir()
        try:
            self._do(session, picture, task, "restoring")
        except DeepixError:
            picture.outcome = former
            raise
        if former is not None:
            await asyncio.to_thread(_remove_folder, former.folder)
        return _json({}, HTTPStatus.ACCEPTED)

    async def _refine(self, request: Request) -> Response:
        seeds = (await _asked(request)).get("seeds")
        session, picture = self._found(request)
        if picture.refines(seeds):  # asked for by another window
            return _json({}, HTTPStatus.ACCEPTED)
        self._idle(request)
        task = picture.refine(seeds)
        if task is not None:
            width, height = picture.size or (0, 0)
            self.sessions.check_space(PER_PIXEL_REFINED * width * height * len(task.seeds))
            self._do(session, picture, task, "refining")
        return _json({}, HTTPStatus.ACCEPTED)

    async def _keep(self, request: Request) -> Response:
        asked = await _asked(request)
        session, picture = self._idle(request)
        task = picture.keep(asked.get("detail"), asked.get("seed", 0))
        if task is not None and picture.outcome is not None:
            task.output.parent.mkdir()
            self._do(session, picture, task, "keeping")
            former, picture.outcome.kept = picture.outcome.kept, None
            if former is not None:
                await asyncio.to_thread(_remove_folder, former[2].parent)
        return _json({}, HTTPStatus.ACCEPTED)

    async def _judge(self, request: Request) -> Response:
        asked = await _asked(request)
        session, picture = self._idle(request)
        task = picture.judge(asked.get("detail"), asked.get("seed", 0))
        if task is not None and picture.outcome is not None:
            width, height = picture.size or (0, 0)
            self.sessions.check_space(PER_PIXEL_REFINED * width * height)
            self._do(session, picture, task, "judging")
            former, picture.outcome.judged = picture.outcome.judged, None
            if former is not None:
                await asyncio.to_thread(views.remove, task.folder, former.view)
        return _json({}, HTTPStatus.ACCEPTED)

    async def _cancel(self, request: Request) -> Response:
        session, picture = self._found(request)
        ticket = picture.ticket
        if ticket is not None:
            self.workshop.cancel(ticket)
            await ticket.finished.wait()
            if picture.size is None:  # it was never seen: there is nothing to go back to
                await self.sessions.remove(session, picture)
            else:
                picture.stop()
        return _json({})

    # ── what there is to see and to keep ─────────────────────────────────────────────────────────

    async def _view(self, request: Request) -> Response:
        _, picture = self._found(request)
        view = request.path_params["view"]
        folder = picture.views().get(view)
        if folder is None:
            raise NotThere("there is no such view")
        asked = request.query_params.get("box")
        if asked is None:
            return FileResponse(views.preview(folder, view), headers=_FRESH)
        try:
            x, y, width, height = (int(part) for part in asked.split(","))
        except ValueError as error:
            raise DeepixError("a part is x,y,width,height, in whole pixels") from error
        if width < 1 or height < 1 or width * height > MAX_CROP:
            raise DeepixError(f"a part has 1 to {MAX_CROP} pixels")
        try:
            content = await asyncio.to_thread(views.part, folder, view, (x, y, width, height))
        except (ValueError, OSError) as error:
            raise NotThere("there is no such part") from error
        return Response(content, media_type="image/png", headers=_FRESH)

    async def _result(self, request: Request) -> Response:
        _, picture = self._found(request)
        asked = request.query_params
        try:
            detail, seed = float(asked.get("detail", "0")), int(asked.get("seed", "0"))
        except ValueError as error:
            raise DeepixError("the detail is a number from 0 to 1, and the seed a whole number") from error
        path = picture.outcome.file(detail, seed) if picture.outcome else None
        if path is None:
            raise NotThere("nothing is restored yet, or not with this detail")
        return FileResponse(path, filename=picture.restored_name(), headers=_FRESH)

    async def _areas(self, request: Request) -> Response:
        _, picture = self._found(request)
        result = picture.to_dict(0)["result"]
        if result is None or result["areasFile"] is None:
            raise NotThere("there is no such file")
        path = picture.folder / "areas.json"
        await asyncio.to_thread(path.write_text, picture.areas_file(), encoding="utf-8")
        return FileResponse(path, filename=result["areasFile"], media_type="application/json", headers=_FRESH)

    # ── parts of the above ───────────────────────────────────────────────────────────────────────

    def _found(self, request: Request) -> tuple[Session, Picture]:
        session = self.sessions.find(request.cookies.get(self._cookie))
        picture = None if session is None else session.pictures.get(request.path_params["number"])
        if session is None or picture is None:
            raise NotThere("this picture is not there any more: choose it again")
        return session, picture

    def _idle(self, request: Request) -> tuple[Session, Picture]:
        session, picture = self._found(request)
        if picture.ticket is not None or picture.size is None:
            raise DeepixError("something is being done with this picture: wait, or cancel it")
        return session, picture

    def _do(self, session: Session, picture: Picture, task: Task, stage: str) -> None:
        try:
            picture.ticket = self.workshop.submit(task, session.key, picture.take)
        except DeepixError:
            picture.stop()
            raise
        picture.begin(stage)

    def _ahead(self, picture: Picture) -> int:
        return 0 if picture.ticket is None else self.workshop.ahead(picture.ticket)


_FRESH = {"Cache-Control": "private, no-store"}


def _static() -> Path:
    return Path(str(resources.files("deepix.web") / "static"))


def _remove_folder(folder: Path) -> None:
    import shutil

    shutil.rmtree(folder, ignore_errors=True)


def _json(values: Mapping[str, Any], status: int = HTTPStatus.OK) -> JSONResponse:
    return JSONResponse(values, status, headers={"Cache-Control": "no-store"})


async def _asked(request: Request) -> dict[str, Any]:
    """Return what a request asks for.

    Raises
    ------
    DeepixError : it is no JSON object, or a large one
    """
    uploads.check_length(request, MAX_REQUEST)
    asked = Request(request.scope, uploads.bounded(request.receive, MAX_REQUEST))
    try:
        values = json.loads(await asked.body())
    except (ValueError, RecursionError) as error:
        raise DeepixError("the request is not JSON") from error
    if not isinstance(values, dict):
        raise DeepixError("the request is not a JSON object")
    return values


_STATUS: tuple[tuple[type[DeepixError], int, dict[str, str]], ...] = (
    (NotThere, HTTPStatus.NOT_FOUND, {}),
    (uploads.TooLarge, HTTPStatus.REQUEST_ENTITY_TOO_LARGE, {}),
    (uploads.Slow, HTTPStatus.REQUEST_TIMEOUT, {}),
    (Full, HTTPStatus.SERVICE_UNAVAILABLE, {"Retry-After": "30"}),
)


def _in_one_line(request: Request, error: Exception) -> Response:
    for kind, status, headers in _STATUS:
        if isinstance(error, kind):
            return JSONResponse({"error": str(error)}, status, headers)
    return JSONResponse({"error": str(error)}, HTTPStatus.UNPROCESSABLE_ENTITY)


def _unexpected(request: Request, error: Exception) -> Response:
    if isinstance(error, ClientDisconnect):
        return Response(status_code=HTTPStatus.BAD_REQUEST)  # nobody reads it
    return JSONResponse({"error": "something went wrong that should not; the server's log says more"}, 500)
