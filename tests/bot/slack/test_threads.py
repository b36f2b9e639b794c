from __future__ import annotations

from tests.bot.slack.stage import Stage, down


async def test_an_incident_is_one_thread_from_its_card_to_its_resolution(stage: Stage) -> None:
    async with stage.running():
        await stage.tick(down())
        await stage.settled()
        (root,) = stage.roots()
        assert "Ticket 1" in root.text
        await stage.tick(down(), down("rl-3"))
        await stage.resolve()
        await stage.settled()
    (root,) = stage.roots()
    texts = stage.texts(root)
    print(texts)
    assert len(texts) == 4
    assert "Resolved" in texts[-1]
