"""Starts a program that dies with its parent: `python -I -S launcher.py PARENT-PID PROGRAM ARGUMENT…`.

The kernel is asked to send SIGKILL when the parent ends, however it ends; that request survives the exec. It is
a program of its own because Python code between fork and exec is not safe in a process with threads.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys

PR_SET_PDEATHSIG = 1


def main() -> None:
    """Bind this process to its parent and become the program."""
    parent, program, *arguments = sys.argv[1:]
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL) != 0:
        sys.exit(f"launcher: prctl: {os.strerror(ctypes.get_errno())}")
    if os.getppid() != int(parent):
        # The parent ended before the request was made: nothing would ever end this process.
        sys.exit("launcher: the parent is gone")
    os.execv(program, [program, *arguments])  # noqa: S606 - no shell is the point


if __name__ == "__main__":
    main()
