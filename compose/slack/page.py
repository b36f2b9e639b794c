"""The page: what a person sees and does, served with its data and live changes over one WebSocket."""

import asyncio
import json
from pathlib import Path
from typing import Annotated, Final

from aiohttp import WSCloseCode, web
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from compose.slack.acting import RefusedError, channel_named, parse_act, perform, user_named
from compose.slack.context import LocalSlack
from compose.slack.interactivity import NotPossibleError
from compose.slack.records import (
    Change,
    Changed,
    Channel,
    ChannelChanged,
    Deleted,
    Json,
    JsonObject,
    Message,
    Posted,
    Read,
    User,
)
from compose.slack.shapes import stored_message_shape

STATIC: Final = Path(__file__).with_name("static")
LABEL: Final = "local Slack (stand-in)"
MESSAGES_SHOWN: Final = 300
_BACKLOG: Final = 500  # changes that a slow page may be behind before it has to load anew


class _ReadMark(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    user: str
    channel: str
    ts: Annotated[str, Field(pattern=r"^\d+\.\d{6}$")]


class _Viewer:
    """One open page."""

    def __init__(self, user: User) -> None:
        self.user = user
        self.queue: asyncio.Queue[JsonObject | None] = asyncio.Queue(_BACKLOG)
        self.behind = False

    def push(self, change: JsonObject | None) -> None:
        try:
            self.queue.put_nowait(change)
        except asyncio.QueueFull:
            self.behind = True


class Page:
    """Serves `/`, `/static/...` and `/page/...`."""

    def __init__(self, slack: LocalSlack) -> None:
        self._slack = slack
        self._viewers: set[_Viewer] = set()
        self._has_world = False
        slack.workspace.observe(self._changed)
        slack.hub.on_change = self._connections_changed

    def routes(self, *, has_world: bool) -> list[web.RouteDef]:
        """Return the routes to serve."""
        self._has_world = has_world
        return [
            web.get("/", self._index),
            web.get("/static/{name}", self._static),
            web.get("/archives/{channel}/{message}", self._permalink),
            web.get("/page/state", self._state),
            web.get("/page/channel", self._channel),
            web.get("/page/thread", self._thread),
            web.get("/page/live", self._live),
            web.post("/page/act", self._act),
            web.post("/page/read", self._read),
        ]

    def close(self) -> None:
        """Let every page go; they connect again by themselves."""
        for viewer in self._viewers:
            viewer.push(None)

    # Files

    async def _index(self, _: web.Request) -> web.StreamResponse:
        return web.FileResponse(STATIC / "index.html", headers={"Cache-Control": "no-cache"})

    async def _static(self, request: web.Request) -> web.StreamResponse:
        name = request.match_info["name"]
        if name not in {one.name for one in STATIC.iterdir()}:
            raise web.HTTPNotFound
        return web.FileResponse(STATIC / name, headers={"Cache-Control": "no-cache"})

    async def _permalink(self, request: web.Request) -> web.StreamResponse:
        channel, message = request.match_info["channel"], request.match_info["message"]
        if channel not in self._slack.workspace.channels or not message.removeprefix("p").isdigit():
            raise web.HTTPNotFound(text="No such message here.")
        raise web.HTTPFound(f"/#{channel}/{message}")

    # Data

    async def _state(self, request: web.Request) -> web.Response:
        workspace = self._slack.workspace
        people = [one for one in workspace.users.values() if not one.is_bot]
        wanted = request.query.get("user")
        me = next((one for one in people if wanted in {one.id, one.name}), people[0])
        channels: list[Json] = [
            self._channel_shape(one, me) for one in workspace.channels.values() if not one.is_im or me.id in one.members
        ]
        return web.json_response(
            {
                "label": LABEL,
                "team": {"id": workspace.identity.team_id, "name": workspace.identity.team_name},
                "me": me.id,
                "users": [
                    {
                        "id": one.id,
                        "name": one.name,
                        "real_name": one.real_name,
                        "title": one.title,
                        "color": f"#{one.color}",
                        "is_bot": one.is_bot,
                        "is_restricted": one.is_restricted,
                    }
                    for one in workspace.users.values()
                ],
                "usergroups": [
                    {"id": one.id, "handle": one.handle, "name": one.name, "users": list(one.users)}
                    for one in workspace.usergroups.values()
                ],
                "channels": channels,
                "commands": [one.model_dump() for one in self._slack.manifest.features.slash_commands],
                "world": self._has_world,
                "connections": self._slack.hub.connections,
            }
        )

    async def _channel(self, request: web.Request) -> web.Response:
        me, channel = self._place(request)
        shown = [one for one in self._slack.workspace.messages(channel.id) if not one.is_reply or one.reply_broadcast]
        shown = shown[-MESSAGES_SHOWN:] + [
            one for one in self._slack.workspace.ephemerals(channel.id, me.id) if not one.is_reply
        ]
        shown.sort(key=lambda one: one.ts)
        return web.json_response({"messages": [self._message_shape(one) for one in shown]})

    async def _thread(self, request: web.Request) -> web.Response:
        me, channel = self._place(request)
        named = self._slack.workspace.message(channel.id, request.query.get("ts", ""))
        parent = self._slack.workspace.message(channel.id, (named.thread_ts or named.ts) if named else "")
        if parent is None:
            raise web.HTTPNotFound(text="That message is not here any more.")
        shown = [parent, *self._slack.workspace.replies(channel.id, parent.ts)]
        shown += [one for one in self._slack.workspace.ephemerals(channel.id, me.id) if one.thread_ts == parent.ts]
        shown.sort(key=lambda one: one.ts)
        return web.json_response({"messages": [self._message_shape(one) for one in shown]})

    def _place(self, request: web.Request) -> tuple[User, Channel]:
        try:
            me = user_named(self._slack, request.query.get("user", ""))
            return me, channel_named(self._slack, request.query.get("channel", ""), me)
        except RefusedError as error:
            raise web.HTTPNotFound(text=str(error)) from error

    def _channel_shape(self, channel: Channel, me: User) -> JsonObject:
        workspace = self._slack.workspace
        read = workspace.read_up_to(me.id, channel.id)
        fresh = [one for one in workspace.messages(channel.id) if one.ts > read and one.user != me.id]
        return {
            "id": channel.id,
            "name": channel.name,
            "topic": channel.topic,
            "is_im": channel.is_im,
            "members": list[Json](channel.members),
            "read": read,
            "unread": sum(not one.is_reply and one.subtype is None for one in fresh),
            "mentions": sum(me.id in one.notifies for one in fresh),
        }

    def _message_shape(self, message: Message) -> JsonObject:
        return stored_message_shape(self._slack.workspace, message) | {
            "channel": message.channel,
            "subtype": message.subtype,  # what is broadcast looks like any other message
            "ephemeral": message.ephemeral_for is not None,
            "notifies": list[Json](message.notifies),
        }

    # Live

    async def _live(self, request: web.Request) -> web.StreamResponse:
        try:
            viewer = _Viewer(user_named(self._slack, request.query.get("user", "")))
        except RefusedError as error:
            raise web.HTTPNotFound(text=str(error)) from error
        socket = web.WebSocketResponse(heartbeat=20)
        await socket.prepare(request)
        self._viewers.add(viewer)
        sending = asyncio.create_task(self._send(socket, viewer))
        try:
            async for _ in socket:
                pass
        finally:
            self._viewers.discard(viewer)
            sending.cancel()
            await asyncio.gather(sending, return_exceptions=True)
        return socket

    async def _send(self, socket: web.WebSocketResponse, viewer: _Viewer) -> None:
        await socket.send_str(json.dumps({"type": "hello", "connections": self._slack.hub.connections}))
        while not viewer.behind and (change := await viewer.queue.get()) is not None:
            await socket.send_str(json.dumps(change))
        await socket.close(code=WSCloseCode.GOING_AWAY)

    def _connections_changed(self) -> None:
        for viewer in self._viewers:
            viewer.push({"type": "app", "connections": self._slack.hub.connections})

    def _changed(self, change: Change) -> None:
        for viewer in self._viewers:
            for shape in self._changes_for(viewer.user, change):
                viewer.push(shape)

    def _changes_for(self, user: User, change: Change) -> list[JsonObject]:
        match change:
            case Posted(message) | Changed(message, _) | Deleted(message, _):
                return self._message_changes(message, change) if self._sees(user, message) else []
            case ChannelChanged(channel):
                return [] if channel.is_im and user.id not in channel.members else [{"type": "channels"}]
            case Read(who, channel_id, ts):
                return [{"type": "read", "channel": channel_id, "ts": ts}] if who == user.id else []

    def _message_changes(self, message: Message, change: Change) -> list[JsonObject]:
        match change:
            case Deleted(_, None):
                first: JsonObject = {
                    "type": "deleted",
                    "channel": message.channel,
                    "ts": message.ts,
                    "thread_ts": message.thread_ts,
                }
            case Deleted(_, Message() as tombstone):
                first = {"type": "message", "new": False, "message": self._message_shape(tombstone)}
            case _:
                shape = self._message_shape(message)
                first = {"type": "message", "new": isinstance(change, Posted), "message": shape}
        return [first, *self._parent_of(message)]

    def _parent_of(self, message: Message) -> list[JsonObject]:
        if not message.is_reply or message.thread_ts is None or message.ephemeral_for is not None:
            return []
        parent = self._slack.workspace.message(message.channel, message.thread_ts)
        return [] if parent is None else [{"type": "message", "new": False, "message": self._message_shape(parent)}]

    def _sees(self, user: User, message: Message) -> bool:
        if message.ephemeral_for is not None:
            return message.ephemeral_for == user.id
        channel = self._slack.workspace.channels[message.channel]
        return not channel.is_im or user.id in channel.members

    # Writes

    async def _act(self, request: web.Request) -> web.Response:
        try:
            result = await perform(self._slack, parse_act(await request.read()))
        except ValidationError as error:
            return web.json_response({"ok": False, "error": str(error)}, status=400)
        except (RefusedError, NotPossibleError) as error:
            return web.json_response({"ok": False, "error": str(error)}, status=409)
        return web.json_response(result.shape())

    async def _read(self, request: web.Request) -> web.Response:
        try:
            mark = _ReadMark.model_validate_json(await request.read())
            me = user_named(self._slack, mark.user)
            channel = channel_named(self._slack, mark.channel, me)
        except (ValidationError, RefusedError) as error:
            return web.json_response({"ok": False, "error": str(error)}, status=400)
        self._slack.workspace.mark_read(me.id, channel.id, mark.ts)
        return web.json_response({"ok": True})
