"""Slack's text: how it is stored, what a person's typing becomes, and whom it mentions.

Three characters are escaped (`&amp; &lt; &gt;`); a reference stands in angle brackets: `<@U…>`, `<#C…>`,
`<!subteam^S…>`, `<!here>`, `<https://…|label>`.
"""

import re
from collections.abc import Mapping
from typing import Final

_REFERENCE: Final = re.compile(
    r"<(?:@[UW][A-Z0-9]+|#C[A-Z0-9]+|!subteam\^S[A-Z0-9]+|!(?:here|channel|everyone)|!date\^[^<>]+"
    r"|(?:https?://|mailto:)[^<>|\s]+)(?:\|[^<>\n]*)?>"
)
_URL: Final = re.compile(r"https?://[^\s<>|\"']*[^\s<>|\"'.,;:!?)\]}`*_~]")
_BARE_AMPERSAND: Final = re.compile(r"&(?!(?:amp|lt|gt);)")
_MENTIONED_USER: Final = re.compile(r"<@([UW][A-Z0-9]+)(?:\|[^<>]*)?>")
_MENTIONED_GROUP: Final = re.compile(r"<!subteam\^(S[A-Z0-9]+)(?:\|[^<>]*)?>")
_BROADCAST: Final = re.compile(r"<!(here|channel|everyone)(?:\|[^<>]*)?>")
_TYPED_NAME: Final = re.compile(r"(?<![\w@/.])([@#])([A-Za-z][\w.-]*\w|[A-Za-z])")


def escape(text: str) -> str:
    """Escape the three characters."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def normalize(text: str) -> str:
    """Return an app's text as Slack stores it: stray specials escaped, bare addresses made references."""
    parts: list[str] = []
    position = 0
    for found in _REFERENCE.finditer(text):
        parts += [_loose(text[position : found.start()]), found.group()]
        position = found.end()
    parts.append(_loose(text[position:]))
    return "".join(parts)


def _loose(text: str) -> str:
    safe = _BARE_AMPERSAND.sub("&amp;", text).replace("<", "&lt;").replace(">", "&gt;")
    return _URL.sub(lambda found: f"<{found.group()}>", safe)


def typed(text: str, users: Mapping[str, str], groups: Mapping[str, str], channels: Mapping[str, str]) -> str:
    """Return what a person typed as Slack's text. The maps give ids by lower-case name."""

    def reference(found: re.Match[str]) -> str:
        name = found.group(2).lower()
        if found.group(1) == "#":
            return f"<#{channels[name]}>" if name in channels else found.group()
        if name in {"here", "channel", "everyone"}:
            return f"<!{name}>"
        if name in users:
            return f"<@{users[name]}>"
        return f"<!subteam^{groups[name]}>" if name in groups else found.group()

    return normalize(_TYPED_NAME.sub(reference, escape(text)))


def mentioned_users(text: str) -> frozenset[str]:
    """Return the ids of the users that a text mentions."""
    return frozenset(_MENTIONED_USER.findall(text))


def mentioned_groups(text: str) -> frozenset[str]:
    """Return the ids of the user groups that a text mentions."""
    return frozenset(_MENTIONED_GROUP.findall(text))


def broadcasts(text: str) -> bool:
    """Whether a text calls everyone in the channel."""
    return _BROADCAST.search(text) is not None
