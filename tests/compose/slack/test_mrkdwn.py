from __future__ import annotations

import re

from hypothesis import given
from hypothesis import strategies as st

from compose.slack.mrkdwn import broadcasts, escape, mentioned_groups, mentioned_users, normalize, typed

near_markup = st.text(alphabet=st.sampled_from("<>&@#!|^*`_ ;:/.aUSC01\nhtps"), max_size=60)


@given(near_markup | st.text())
def test_normalizing_twice_changes_nothing(text: str) -> None:
    assert normalize(normalize(text)) == normalize(text)


@given(near_markup | st.text())
def test_what_an_app_escaped_calls_nobody_and_comes_back_as_it_was(text: str) -> None:
    stored = normalize(escape(text))
    assert not mentioned_users(stored)
    assert not mentioned_groups(stored)
    assert not broadcasts(stored)
    if "http" not in text:
        assert stored == escape(text)


@given(near_markup)
def test_no_bare_special_is_stored(text: str) -> None:
    outside = re.sub(r"<[@#!]?[^<>]+>", "", normalize(text))
    assert "<" not in outside
    assert ">" not in outside
    assert not re.search(r"&(?!amp;|lt;|gt;)", outside)


def test_references_stay_and_the_rest_is_escaped() -> None:
    assert normalize("<@U0123> & <b> https://x.example/?a=1&b=2.") == (
        "<@U0123> &amp; &lt;b&gt; <https://x.example/?a=1&amp;b=2>."
    )
    assert normalize("<https://x.example|label> <!here> <!subteam^S0123>") == (
        "<https://x.example|label> <!here> <!subteam^S0123>"
    )


def test_typing_a_name_makes_a_reference() -> None:
    people, groups, channels = {"ana": "U1"}, {"oncall-primary": "S1"}, {"incidents": "C1"}

    def stored(text: str) -> str:
        return typed(text, people, groups, channels)

    assert stored("@ana, see #incidents @oncall-primary @here") == "<@U1>, see <#C1> <!subteam^S1> <!here>"
    assert stored("mail@ana.example @nobody <@U1>") == "mail@ana.example @nobody &lt;@U1&gt;"
    assert mentioned_users(stored("@Ana.")) == {"U1"}
