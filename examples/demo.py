"""`make demo`: the main job end to end on this machine, shown and proven. `make demo ONLY=sip` runs one part.

Starts a node of its own in a temporary folder, drives it with the `skerry` command line alone, looks at the wire from
outside, and exits with 0 only if everything was seen to happen.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cache
import edge
import sip
from rich.console import Console
from rich.table import Table

SKERRY = str(Path(sys.executable).with_name("skerry"))


class NotObservedError(Exception):
    """Something that had to be observed was not."""


class Stage:
    """Runs commands in front of the audience and keeps the times."""

    def __init__(self, folder: Path) -> None:
        self.console = Console(highlight=False)
        self.folder = folder
        self.rows: list[tuple[str, float, str]] = []
        self.name = f"demo{os.getpid()}"
        own = {"SKERRY_DATA_DIR": str(folder / "node"), "SKERRY_NODE": self.name}
        # the packages of the examples are not signed; a warning for each of them would hide what is to be seen
        self.env = {**os.environ, **own, "SKERRY_PACKAGE_SIGNATURES": "off"}
        self._node: subprocess.Popen[bytes] | None = None

    def start_node(self) -> None:
        """Start `skerry up` and wait until it answers."""
        self.say("Start a node")
        self.console.print("[bold]$ skerry up --port 0[/bold]")
        begun = time.monotonic()
        with (self.folder / "node.log").open("wb") as log:
            self._node = subprocess.Popen([SKERRY, "up", "--port", "0"], env=self.env, stdout=log, stderr=log)
        while subprocess.run([SKERRY, "info"], env=self.env, capture_output=True, check=False).returncode != 0:
            if self._node.poll() is not None or time.monotonic() - begun > 20:
                raise NotObservedError("the node does not start:\n" + (self.folder / "node.log").read_text())
            time.sleep(0.05)
        self.note("node answers", time.monotonic() - begun)

    def stop_node(self) -> None:
        if self._node is not None and self._node.poll() is None:
            self._node.terminate()
            self._node.wait(20)

    def clear(self) -> None:
        """After a failure: remove what the parts made, in whatever state it is, since instances outlive the node."""
        if not self._node or self._node.poll() is not None:
            return
        for kind in ("app", "ns", "vnf"):
            for one in self.ask(kind, "list"):
                subprocess.run([SKERRY, kind, "discard", one["id"], "--yes"], env=self.env, check=False)

    def keep_log(self) -> Path | None:
        """After a failure: the node's log, out of the folder that is removed."""
        log = self.folder / "node.log"
        return Path(shutil.copy(log, self.folder.with_suffix(".log"))) if log.exists() else None

    def say(self, title: str) -> None:
        self.console.rule(f"[bold]{title}[/bold]", align="left")

    def skerry(self, *words: str) -> float:
        """Run a command as a person would; the answer is its seconds. A failing command ends the demo."""
        self.console.print(f"[bold]$ skerry {' '.join(words)}[/bold]")
        begun = time.monotonic()
        done = subprocess.run([SKERRY, *words], env=self.env, stderr=subprocess.STDOUT, check=False)
        if done.returncode != 0:
            raise NotObservedError(f"skerry {' '.join(words)} failed")
        return time.monotonic() - begun

    def drop(self, *packages: str) -> None:
        """Remove packages, with no more to see than that they are gone."""
        for package in packages:
            self._quietly("package", "delete", package, "--force")
        self.expect(not self.ask("package", "list"), "its packages are gone, too")

    def ask(self, *words: str) -> Any:
        """What a command answers as JSON, not shown."""
        return json.loads(self._quietly(*words))

    def ask_lines(self, *words: str) -> list[Any]:
        """What a command answers as JSON, an object a line, not shown."""
        return [json.loads(line) for line in self._quietly(*words).splitlines()]

    def _quietly(self, *words: str) -> str:
        done = subprocess.run([SKERRY, *words, "--json"], env=self.env, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise NotObservedError(f"skerry {' '.join(words)} failed: {done.stderr}")
        return done.stdout

    def note(self, what: str, seconds: float, proof: str = "") -> None:
        """Keep a time for the table."""
        self.rows.append((what, seconds, proof))

    def until(self, truth: Callable[[], bool], what: str, seconds: float) -> None:
        """Wait until something is so, or end the demo."""
        begun = time.monotonic()
        while not truth():
            if time.monotonic() - begun > seconds:
                raise NotObservedError(f"not within {seconds:g} s: {what}")
            time.sleep(0.05)

    def expect(self, truth: bool, claim: str) -> None:
        """Say that something was observed, or end the demo."""
        if not truth:
            raise NotObservedError(f"not observed: {claim}")
        self.console.print(f"  [green]✓[/green] {claim}")

    def traces(self) -> list[str]:
        """What this node left on the machine: namespaces, mounts, cgroups and processes."""
        mine = (f"skerry-{self.name}", str(self.folder))
        found = [f"network namespace {path.name}" for path in Path("/run/netns").glob(f"{mine[0]}*")]
        mounts = Path("/proc/self/mounts").read_text().splitlines()
        found += [f"mount {line.split()[1]}" for line in mounts if any(word in line for word in mine)]
        # os.walk passes over what vanishes meanwhile: others run on this machine too
        groups = (Path(at) / name for at, names, _ in os.walk("/sys/fs/cgroup") for name in names)
        found += [f"cgroup {path}" for path in groups if self.name in path.name]
        for file in Path("/proc").glob("[0-9]*/cmdline"):
            with contextlib.suppress(OSError):  # it ended meanwhile
                told = file.read_text() + file.with_name("cgroup").read_text()
                if any(word in told for word in mine) and file.parent.name != str(os.getpid()):
                    found.append(f"process {file.parent.name}")
        return found

    def show(self) -> None:
        table = Table(title="What it took", title_justify="left")
        for head in ("step", "seconds", "seen on the wire"):
            table.add_column(head, justify="right" if head == "seconds" else "left")
        for what, seconds, proof in self.rows:
            table.add_row(what, f"{seconds:.2f}" if seconds >= 0.1 else f"{seconds:.4f}", proof)
        self.console.print(table)


PARTS: dict[str, Callable[[Stage], None]] = {"sip": sip.play, "edge": edge.play, "cache": cache.play}


def main(only: str) -> int:
    """Run the parts; 0 only if all was observed."""
    unknown = only and only not in PARTS
    if unknown:
        print(f"no part '{only}'; the parts are: {', '.join(PARTS)}", file=sys.stderr)
        return 2
    folder = Path(tempfile.mkdtemp(prefix="skerry-demo-"))
    stage = Stage(folder)
    try:
        stage.start_node()
        for name, play in PARTS.items():
            if only in ("", name):
                play(stage)
        stage.say("Nothing is left")
        stage.stop_node()
        left = stage.traces()
        stage.expect(not left, "no process, network namespace, mount or cgroup is left" + (f": {left}" if left else ""))
        stage.show()
    except (NotObservedError, TimeoutError, LookupError) as failure:
        stage.console.print(f"[red]✗ {failure}[/red]")
        stage.clear()
        stage.stop_node()
        stage.console.print(
            f"what the node said: {stage.keep_log()}; left on the machine: {stage.traces() or 'nothing'}"
        )
        return 1
    finally:
        stage.stop_node()
        shutil.rmtree(folder, ignore_errors=True)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1] if len(sys.argv) > 1 else ""))
