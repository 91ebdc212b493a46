"""Becomes a command that dies with whoever started it: `python launch.py PARENT_PID COMMAND …`.

It execs, so the process id is the command's own. Run between fork and exec instead (`preexec_fn`), the same
would fork a threaded process, which Python 3.12 warns of. SIGKILL, because a process that is stopped or stuck
never acts on a SIGTERM, and every process of ours survives a kill -9 by design.
"""

import ctypes
import os
import signal
import sys

PR_SET_PDEATHSIG = 1  # linux/prctl.h


def main() -> None:
    """Bind our life to the parent's, then become the command."""
    parent, command = int(sys.argv[1]), sys.argv[2:]
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        sys.exit("the supervisor is gone")  # it died before the line above
    os.execvp(command[0], command)  # noqa: S606 - the supervisor's own table of commands


if __name__ == "__main__":
    main()
