"""Peers that misbehave, on loopback: what a subject meets when what it watches is broken, frozen or not itself.

Each is a real listener on a free port that a subject is pointed at by the conformance checks.
"""

from __future__ import annotations

import asyncio
import contextlib
import gzip
import socket
import struct
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TypeAlias

Manner: TypeAlias = Callable[["Peer", asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]

MIB = 1024 * 1024


@dataclass(slots=True)
class Peer:
    """A listening peer and what was seen of its callers."""

    url: str = ""
    accepted: int = 0
    sent: int = 0
    asked: asyncio.Event = field(default_factory=asyncio.Event)
    connections: set[asyncio.Task[None]] = field(default_factory=set)

    async def all_closed(self) -> None:
        """Wait until no connection is left that neither side has closed."""
        while self.connections:
            await asyncio.wait(set(self.connections))


@asynccontextmanager
async def peer(manner: Manner) -> AsyncIterator[Peer]:
    """A peer of that manner, listening until the end of the block."""
    me = Peer()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        me.accepted += 1
        me.asked.set()
        task = asyncio.current_task()
        if task is not None:
            me.connections.add(task)
            task.add_done_callback(me.connections.discard)
        try:
            with contextlib.suppress(ConnectionError):
                await manner(me, reader, writer)
        finally:
            writer.close()
            with contextlib.suppress(ConnectionError):
                await writer.wait_closed()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    me.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    try:
        yield me
    finally:
        server.close()
        left = tuple(me.connections)
        for connection in left:
            connection.cancel()
        await asyncio.gather(*left, return_exceptions=True)
        await server.wait_closed()


@asynccontextmanager
async def refusing() -> AsyncIterator[str]:
    """The URL of a port that refuses connections, and that nobody else can take meanwhile."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{bound.getsockname()[1]}"


async def silent(_me: Peer, reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
    """Accept, and never say anything: a frozen process, whose port the kernel still answers for."""
    while await reader.read(65_536):
        pass


async def hanging_up(_me: Peer, _reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
    """Close at once."""


async def resetting(_me: Peer, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Take the request and reset the connection."""
    await reader.read(65_536)
    raw: socket.socket = writer.get_extra_info("socket")
    raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


async def dripping(me: Peer, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Start a proper answer and go on with a byte now and then: every single wait is short."""
    await reader.read(65_536)
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 100000\r\n\r\n")
    while True:
        writer.write(b" ")
        me.sent += 1
        await writer.drain()
        await asyncio.sleep(0.02)


async def endless(me: Peer, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answer JSON that does not end."""
    await reader.read(65_536)
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n[")
    block = b'"x",' * 16_384
    while True:
        writer.write(block)
        await writer.drain()
        me.sent += len(block)


def answering(
    body: bytes, *, status: str = "200 OK", content_type: str = "application/json", header: str = ""
) -> Manner:
    """Answer every request with the same."""
    head = (
        f"HTTP/1.1 {status}\r\nContent-Type: {content_type}\r\nContent-Length: {len(body)}\r\n"
        f"{header}Connection: close\r\n\r\n"
    ).encode()

    async def manner(me: Peer, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(65_536)
        writer.write(head + body)
        await writer.drain()
        me.sent += len(body)

    return manner


def saying(raw: bytes) -> Manner:
    """Answer every request with bytes that are no HTTP."""

    async def manner(me: Peer, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(65_536)
        writer.write(raw)
        await writer.drain()
        me.sent += len(raw)

    return manner


MANNERS: Mapping[str, Manner] = {
    "silent": silent,
    "hanging up": hanging_up,
    "resetting": resetting,
    "dripping": dripping,
    "endless": endless,
    "no HTTP": saying(bytes(range(256)) * 8),
    "an SSH server": saying(b"SSH-2.0-OpenSSH_9.9\r\n"),
    "a web page": answering(b"<!doctype html><p>It works!</p>", content_type="text/html"),
    "a server error": answering(
        b'{"error": {"code": "x", "message": "\\u202eno\\n<!channel>"}}', status="500 Internal Server Error"
    ),
    "no content": answering(b"", status="204 No Content"),
    "nothing in it": answering(b""),
    "half of it": answering(b'{"node": "rl-1", "boot_id'),
    "an empty object": answering(b"{}"),
    "an empty list": answering(b"[]"),
    "null": answering(b"null"),
    "a number": answering(b"1e999"),
    "no UTF-8": answering(b'{"node": "\xff\xfe"}'),
    "deep": answering(b"[" * 200_000),
    "large": answering(b'["' + b"x" * (4 * MIB) + b'"]'),
    "compressed": answering(gzip.compress(b" " * (8 * MIB)), header="Content-Encoding: gzip\r\n"),
}
"""Manners by the words that complete "a peer that is …" or "a peer that answers …"."""
