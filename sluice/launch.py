"""Executes a command that is killed when its parent ends: `python launch.py PARENT_PID COMMAND …`.

It replaces itself by the command, which keeps the process id. `preexec_fn` would do the same in a fork of a
threaded process, which Python 3.12 warns of. The signal is SIGKILL, because a stopped or stuck process does not
act on SIGTERM, and every process of the stack recovers from a kill -9.
"""

import ctypes
import os
import signal
import sys

PR_SET_PDEATHSIG = 1  # linux/prctl.h


def main() -> None:
    """Ask the kernel to kill this process when the parent ends, then execute the command."""
    parent, command = int(sys.argv[1]), sys.argv[2:]
    os.umask(0o077)  # what it writes is for its user alone
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        sys.exit("the supervisor is gone")  # it ended before the line above
    os.execvp(command[0], command)  # noqa: S606 - the supervisor's own table of commands


if __name__ == "__main__":
    main()
