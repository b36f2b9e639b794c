"""``operator demo``."""


def demo() -> None:
    """Play."""
