"""The script that prepares a machine, as far as it can be tested without a fresh one."""

from __future__ import annotations

import re
import subprocess

from tests.architecture.sources import ROOT, text

SCRIPT = ROOT / "tools" / "bootstrap.sh"


def test_the_script_is_valid_shell() -> None:
    done = subprocess.run(["sh", "-n", SCRIPT], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_an_unknown_level_is_refused() -> None:
    done = subprocess.run([SCRIPT, "everything"], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr == "cannot prepare 'everything': say run or dev\n"


def test_every_package_has_a_reason_and_a_way_to_see_it() -> None:
    rows = re.findall(r"^(run|dev) +\| (\S+) +\| (program|file):\S+ +\| (.{10,})$", text(SCRIPT), re.MULTILINE)
    assert len(rows) == len(re.findall(r"^(?:run|dev) +\|", text(SCRIPT), re.MULTILINE)) > 8
    packages = {name for _, name, _, _ in rows}
    assert {"runc", "conmon", "busybox-static", "iproute2", "skopeo", "sip-tester", "tcpdump", "docker.io"} <= packages


def test_what_doctor_asks_for_to_run_containers_is_installed() -> None:
    asked = set(re.findall(r"apt-get install ([a-z][\w.-]+)", text(ROOT / "src/skerry/vim/local/probe.py")))
    assert asked <= set(re.findall(r"^run +\| (\S+)", text(SCRIPT), re.MULTILINE))
