"""``python -m bot.cli`` is ``operator``."""

from bot.cli import main

main()
