"""What can go wrong between us and Slack.

SlackError
├── SlackConfigError    can never work as it is configured; the words say how to mend it
├── Refused             Slack said no to this one message, for good
│   └── Gone            because the message or its thread is not there, or not ours to edit, any more
│       └── ThreadGone  and so nothing can be said in a thread any more
├── ChannelUnusable     nothing can be posted in a channel until a person mends that
├── AuthLost            the token is no longer accepted, or not for this
└── Unavailable         no usable answer; it may have been done (``ambiguous``) or was certainly not
"""

from __future__ import annotations

from typing import Final

THREAD_GONE: Final = "the thread's first message was deleted, or the thread is locked"


class SlackError(Exception):
    """Base of this package's errors."""


class SlackConfigError(SlackError):
    """Slack can never work as it is configured."""


class Refused(SlackError):  # noqa: N818  the name is the sentence
    """Slack said no to this one message, for good. ``code`` is Slack's own word for it."""

    def __init__(self, code: str, detail: str = "") -> None:
        super().__init__(f"{code}: {detail}" if detail else code)
        self.code = code


class Gone(Refused):
    """The message or its thread is not there, or not ours to edit, any more."""


class ThreadGone(Gone):
    """Nothing can be said in a thread any more. ``ts``: where the reply stands all the same, in the channel."""

    def __init__(self, ts: str | None) -> None:
        super().__init__("thread_not_found", THREAD_GONE)
        self.ts = ts


class ChannelUnusable(SlackError):  # noqa: N818  the name is the sentence
    """Nothing can be posted in the channel until a person mends that."""

    def __init__(self, channel: str, code: str) -> None:
        super().__init__(f"nothing can be posted in {channel} ({code}): {_CHANNEL.get(code, _CHANNEL_ELSE)}")
        self.channel = channel
        self.code = code


class AuthLost(SlackError):  # noqa: N818  the name is the sentence
    """The token is no longer accepted, or not for this."""

    def __init__(self, code: str, method: str, needed: str = "") -> None:
        super().__init__(f"Slack refuses {method} ({code}): {mending(code, needed)}")
        self.code = code
        self.needed = needed


class Unavailable(SlackError):  # noqa: N818  the name is the sentence
    """No usable answer. ``ambiguous``: what was asked for may have been done."""

    def __init__(self, why: str, *, ambiguous: bool) -> None:
        super().__init__(why)
        self.ambiguous = ambiguous


_INVITE: Final = "invite the app: /invite @Operator"
_CHANNEL_ELSE: Final = "ask an administrator of the workspace to let the app post there"
_CHANNEL: Final = {
    "channel_not_found": f"it does not exist or is private; {_INVITE}",
    "not_in_channel": _INVITE,
    "is_archived": "unarchive it, or set another one",
}
_CHANNEL_PREFIX: Final = "restricted_action"

_AUTH: Final = {
    "not_authed": "set SLACK_BOT_TOKEN and SLACK_APP_TOKEN",
    "invalid_auth": "the token is wrong; copy it anew from the app's page at api.slack.com/apps",
    "account_inactive": "the token's user is deactivated; install the app anew",
    "token_revoked": "the app was uninstalled or its token revoked; install it anew and set the new token",
    "token_expired": "set a new token",
    "not_allowed_token_type": "SLACK_BOT_TOKEN must be the bot token (xoxb-…), SLACK_APP_TOKEN the app's (xapp-…)",
    "missing_scope": "add the scope {needed} to the app and install it anew",
    "no_permission": "the app lacks a permission; install it anew with the scopes of its manifest",
    "access_denied": "an administrator of the workspace must approve the app",
    "ekm_access_denied": "an administrator of the workspace has suspended posting",
    "accesslimited": "an administrator must let the app in from this network",
    "org_login_required": "the workspace is being migrated; it comes back by itself",
    "team_access_not_granted": "an administrator must grant the app this workspace",
    "two_factor_setup_required": "the token's user must set up two-factor authentication",
    "forbidden_team": "the app may not use Socket Mode in this workspace; ask an administrator",
}

_GONE: Final = frozenset(
    {
        "message_not_found",
        "cant_update_message",
        "cant_delete_message",
        "edit_window_closed",
        "thread_not_found",
        "cannot_reply_to_message",
        "restricted_action_thread_locked",
    }
)
# Slack's reference says of the first two that "some aspect of the operation" may have succeeded.
_AMBIGUOUS: Final = frozenset(
    {"internal_error", "fatal_error", "request_timeout", "service_unavailable", "team_added_to_org", "update_failed"}
)
# About the workspace at that moment, not about the message: it was certainly not done, and may be later.
_LATER: Final = frozenset({"message_limit_exceeded", "external_channel_migrating"})
LIMITED: Final = frozenset({"ratelimited", "rate_limited"})


def mending(code: str, needed: str = "") -> str:
    """How to mend an error of authentication."""
    return _AUTH.get(code, "look at the app's page at api.slack.com/apps").format(needed=needed or "that it lacks")


def judged(code: str, *, method: str, channel: str = "", detail: str = "", needed: str = "") -> SlackError:
    """The error for one of Slack's codes. A code that we do not know is a refusal: it is an answer, and it is no."""
    if code in _AMBIGUOUS:
        return Unavailable(f"Slack answers {method} with {code}", ambiguous=True)
    if code in _LATER:
        return Unavailable(f"Slack answers {method} with {code}", ambiguous=False)
    if code in _AUTH:
        return AuthLost(code, method, needed)
    if code in _GONE:
        return Gone(code, detail)
    if channel and (code in _CHANNEL or code.startswith(_CHANNEL_PREFIX)):
        return ChannelUnusable(channel, code)
    return Refused(code, detail)
