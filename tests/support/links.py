"""TCP proxies between members: partitions without touching the machine's network."""

import asyncio
import contextlib
import threading
from dataclasses import dataclass, field
from functools import partial

CHUNK_BYTES = 65_536


@dataclass
class Link:
    """Everything that member `source` sends to and gets from the port of member `target`, while not `cut`."""

    source: int
    target: int
    host: str
    port: int
    listening: int = 0
    connections: int = 0  # so far
    open: asyncio.Event = field(default_factory=asyncio.Event)
    server: asyncio.Server | None = None


class Links:
    """A proxy for each ordered pair of members, run by a thread of the test; a cut holds bytes back, as a lost route does."""

    def __init__(self, targets: list[tuple[str, int]]) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True, name="links")
        self._thread.start()
        self.links = {
            (source, target): Link(source, target, host, port)
            for source in range(len(targets))
            for target, (host, port) in enumerate(targets)
            if source != target
        }
        self._run(self._start())

    def _run(self, work: "asyncio.coroutines.Coroutine[None, None, None]") -> None:  # type: ignore[name-defined]
        asyncio.run_coroutine_threadsafe(work, self._loop).result(30)

    async def _start(self) -> None:
        for link in self.links.values():
            link.open.set()
            link.server = await asyncio.start_server(partial(self._serve, link), "127.0.0.1", 0)
            link.listening = link.server.sockets[0].getsockname()[1]

    async def _serve(self, link: Link, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        link.connections += 1
        await link.open.wait()
        try:
            far_reader, far_writer = await asyncio.open_connection(link.host, link.port)
        except OSError:
            writer.close()
            return
        await asyncio.gather(self._copy(link, reader, far_writer), self._copy(link, far_reader, writer))

    @staticmethod
    async def _copy(link: Link, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while chunk := await reader.read(CHUNK_BYTES):
                await link.open.wait()
                writer.write(chunk)
                await writer.drain()
        writer.close()

    def partition(self, *groups: set[int]) -> None:
        """Only members of one group reach each other, both ways."""

        async def apply() -> None:
            for (source, target), link in self.links.items():
                together = any({source, target} <= group for group in groups)
                link.open.set() if together else link.open.clear()

        self._run(apply())

    def heal(self) -> None:
        """Everybody reaches everybody."""

        async def apply() -> None:
            for link in self.links.values():
                link.open.set()

        self._run(apply())

    def connected(self) -> bool:
        """Whether every two members have had a connection, made by either."""
        used = {frozenset(pair) for pair, link in self.links.items() if link.connections}
        return len(used) == len(self.links) // 2

    def close(self) -> None:
        """Stop all proxies."""
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
