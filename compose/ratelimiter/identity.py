"""Who a running node is."""

from __future__ import annotations

import os
import secrets
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Identity:
    """One boot of one node.

    Attributes:
        name: The node's name; the same after a restart.
        address: Its URL.
        boot_id: A new one at every start; what is counted since a start belongs to it.
        pid: Its process.
    """

    name: str
    address: str
    boot_id: str
    pid: int


def new_boot(name: str, address: str) -> Identity:
    """The identity of this process as that node."""
    return Identity(name=name, address=address, boot_id=secrets.token_hex(6), pid=os.getpid())
