"""What a program needs to be a plugin of Synchro (docs/plugins.md).

A plugin is a function for each side: it gets the call as a dictionary and the store, and
returns its answer, or None when the change is right as it is. It may be called twice for
the same change. Sites that use it say `format: json`.
"""

import argparse
import asyncio
import base64
import hashlib
import json
import signal
import sys

import nats
import nats.micro
from nats.js.errors import APIError

INLINE = 256 << 10  # bytes that all payloads of a change may have inside the message
CHUNK = 512 << 10
LISTED = 1024  # chunks that a payload names itself


class Refused(Exception):
    """The change is not taken; Synchro sets it aside with the reason."""


class Store:
    """Where the bytes of payloads lie that are too many for a message."""

    def __init__(self, js):
        self.js = js

    async def read(self, payload):
        """The bytes of a payload of a call."""
        if "chunks" not in payload:
            return base64.b64decode(payload.get("inline", ""))
        chunks = payload["chunks"]
        for _ in range(payload.get("depth", 0)):
            listed = await self._join(chunks)
            chunks = [listed[i : i + 32].hex() for i in range(0, len(listed), 32)]
        data = await self._join(chunks)
        if hashlib.sha256(data).hexdigest() != payload["sha256"]:
            raise ValueError("the stored bytes are not those that the call announces")
        return data

    async def write(self, data):
        """What an answer says of a payload with these bytes."""
        if len(data) <= INLINE // 2:
            return {"inline": base64.b64encode(data).decode()}
        chunks, depth = await self._cut(data), 0
        while len(chunks) > LISTED:
            chunks, depth = await self._cut(bytes.fromhex("".join(chunks))), depth + 1
        return {"sha256": hashlib.sha256(data).hexdigest(), "size": len(data), "depth": depth, "chunks": chunks}

    async def _join(self, chunks):
        parts = []
        for digest in chunks:
            message = await self.js.get_msg("BLOBS", subject="synchro.BLOB." + digest, direct=True)
            if hashlib.sha256(message.data).hexdigest() != digest:
                raise ValueError("a chunk is damaged")
            parts.append(message.data)
        return b"".join(parts)

    async def _cut(self, data):
        chunks = []
        for i in range(0, len(data), CHUNK):
            part = data[i : i + CHUNK]
            digest = hashlib.sha256(part).hexdigest()
            try:
                await self.js.publish("synchro.BLOB." + digest, part)
            except APIError as error:
                if "per subject" not in (error.description or ""):
                    raise  # else it is there already
            chunks.append(digest)
        return chunks


def endpoint(handler, store):
    async def answer(request):
        try:
            reply = await handler(json.loads(request.data), store)
        except Refused as reason:
            await request.respond_error("422", str(reason))
            return
        body = json.dumps(reply).encode() if reply else b""
        await request.respond(body, headers={"Content-Type": "application/json"})

    return answer


async def _complain(error):
    """One line for what goes wrong with the connection, which is made again by itself."""
    print("the broker:", str(error) or type(error).__name__, file=sys.stderr, flush=True)


async def _serve(plugin, server, token, sides):
    nc = await nats.connect(
        server, token=token, name="plugin " + plugin, max_reconnect_attempts=-1, error_cb=_complain
    )
    store = Store(nc.jetstream())
    service = await nats.micro.add_service(nc, name="synchro-plugin-" + plugin, version="1.0.0")
    for side, handler in sides.items():
        await service.add_endpoint(name=side, subject=f"synchro.plugin.{plugin}.{side}", handler=endpoint(handler, store))
    print(plugin, "answers", flush=True)
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    await stop.wait()
    await service.stop()
    await nc.close()


def options(description):
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--server", default="nats://127.0.0.1:4222", help="the broker")
    parser.add_argument("--token-file", help="file with the broker's token")
    return parser


def serve(plugin, arguments, **sides):
    """Answers for a plugin until the program is told to stop."""
    token = None
    if arguments.token_file:
        with open(arguments.token_file, encoding="utf-8") as file:
            token = file.read().strip()
    asyncio.run(_serve(plugin, arguments.server, token, sides))
