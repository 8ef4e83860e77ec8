"""Runs the unmodified `openstack` client: a JSON list of words on each line of the input is one command, a JSON object with
`code`, `out` and `err` on each line of the output is its end.

Each command is a process of its own, as where people type them; they are forks of this one, which has the client imported.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import sys
from typing import Any


def run(shell: Any, words: list[str]) -> dict[str, Any]:
    """One command, as `main` of the client's own program runs it."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = shell.main(words)
    return {"code": code or 0, "out": out.getvalue(), "err": err.getvalue()}


def main() -> None:
    """Until the input ends."""
    answers = sys.stdout
    import tackerclient.osc.v1.vnflcm.vnflcm
    import tackerclient.v1_0.client  # noqa: F401
    from cliff import command
    from openstackclient import shell

    command._get_distributions_by_modules()  # a cache that each of them would fill again

    for line in sys.stdin:
        child = os.fork()
        if not child:
            answers.write(json.dumps(run(shell, json.loads(line))) + "\n")
            answers.flush()
            os._exit(0)
        os.waitpid(child, 0)


if __name__ == "__main__":
    main()
