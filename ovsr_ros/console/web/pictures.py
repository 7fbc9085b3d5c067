"""Pictures to a browser: one when it asks, the newest there is; so a slow network drops frames and queues none."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable

from starlette.websockets import WebSocket, WebSocketDisconnect

from ovsr_ros.console.frames import Newest
from ovsr_ros.console.link import OVERLAY, PLAIN, Link

_IDLE_S = 60.0
_FIND_S = 5.0


class PictureSocket:
    """One browser's connection. It sends "overlay" or "plain" once it has shown what came before."""

    def __init__(self, link: Link, websocket: WebSocket) -> None:
        self._link = link
        self._websocket = websocket
        self._name = websocket.query_params.get("node", "")
        self._wake = asyncio.Event()
        self._kind = ""
        self._is_asked = False
        self._is_closed = False

    async def serve(self) -> None:
        """Answer until the browser goes, or has asked for nothing for a minute."""
        await self._websocket.accept()
        if not await self._is_found():
            await self._websocket.close(4404, "no such node")
            return
        reader = asyncio.create_task(self._read())
        try:
            await self._write()
        finally:
            reader.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await reader
            with contextlib.suppress(RuntimeError, WebSocketDisconnect):
                await self._websocket.close()

    async def _is_found(self) -> bool:
        """Whether there is such a node; after a pause of the page it has to look around for it first."""
        for _ in range(int(_FIND_S / 0.1)):
            if self._name in self._link.names():
                return True
            await asyncio.sleep(0.1)
        return False

    async def _read(self) -> None:
        try:
            while True:
                text = await self._websocket.receive_text()
                kind = text if text in (OVERLAY, PLAIN) else OVERLAY
                self._kind, self._is_asked = kind, True
                self._wake.set()
        except (WebSocketDisconnect, RuntimeError, KeyError):
            self._is_closed = True
            self._wake.set()

    def _wake_from(self, loop: asyncio.AbstractEventLoop) -> Callable[[], None]:
        """What wakes this connection, from any thread."""

        def wake() -> None:
            with contextlib.suppress(RuntimeError):  # the loop is closed
                loop.call_soon_threadsafe(self._wake.set)

        return wake

    async def _write(self) -> None:
        loop = asyncio.get_running_loop()
        held, after, idle_since = "", 0, loop.time()
        newest: Newest | None = None
        end_listening = _nothing
        try:
            while not self._is_closed:
                if self._kind != held:
                    end_listening()
                    if held:
                        self._link.release(self._name, held)
                    held, after = self._kind, 0
                    newest = self._link.pictures(self._name, held)
                    end_listening = newest.listen(self._wake_from(loop))
                taken = newest.take(after) if newest is not None and self._is_asked else None
                if taken is not None:
                    after, picture = taken
                    self._is_asked = False
                    idle_since = loop.time()
                    await self._websocket.send_bytes(picture.packed)
                    continue
                if not self._is_asked and loop.time() - idle_since > _IDLE_S:
                    return
                with contextlib.suppress(asyncio.TimeoutError):
                    await asyncio.wait_for(self._wake.wait(), _IDLE_S / 4)
                self._wake.clear()
        except (WebSocketDisconnect, RuntimeError):
            return  # the browser is gone
        finally:
            end_listening()
            if held:
                self._link.release(self._name, held)


def _nothing() -> None:
    pass
