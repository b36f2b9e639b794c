"""Slack-looking ids, tokens and nonces from an injected source of randomness."""

import random
import string
import uuid

_ALPHABET = string.ascii_uppercase + string.digits


class Ids:
    """Makes ids. A seeded `random.Random` makes them repeatable; the default is the system's randomness."""

    def __init__(self, rng: random.Random | None = None) -> None:
        self.rng = rng or random.SystemRandom()

    def make(self, prefix: str, length: int = 10) -> str:
        """Return an id such as `C0AB12CD34E`."""
        return prefix + "0" + "".join(self.rng.choices(_ALPHABET, k=length - 1))

    def secret(self, prefix: str, length: int = 32) -> str:
        """Return a token or a key that can't be guessed."""
        return prefix + "".join(self.rng.choices(string.ascii_lowercase + string.digits, k=length))

    def block_id(self) -> str:
        """Return five characters, as Slack fills in for a missing block_id or action_id."""
        return "".join(self.rng.choices(string.ascii_letters + string.digits, k=5))

    def uuid(self) -> str:
        """Return a random UUID, as envelopes and client messages carry."""
        return str(uuid.UUID(int=self.rng.getrandbits(128), version=4))
