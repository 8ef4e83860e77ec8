"""Looking at what happens: `skerry events`, `logs`, `exec` and `stats`."""

from __future__ import annotations

import sys
from collections.abc import Iterable

import click
import msgspec

from skerry.cli import exits, output
from skerry.cli.operations import find_among, subject
from skerry.cli.session import Session, command
from skerry.cli.vnf import find
from skerry.model.operations import EVENT_KINDS, Event


@click.command()
@click.option("--follow", "-f", is_flag=True, help="Go on as events happen.")
@click.option("--since", type=click.IntRange(0), default=0, help="Only events over this number.")
@click.option("--last", type=click.IntRange(0), default=None, help="Only this many of the newest.")
@click.option("--subject", "wanted", default="", help="Only of this VNF or NS.")
@click.option("--operation", default="", help="Only of this operation.")
@click.option("--kind", type=click.Choice(EVENT_KINDS), default=None, help="Only of this kind.")
@command
def events(
    session: Session, follow: bool, since: int, last: int | None, wanted: str, operation: str, kind: str | None
) -> None:
    """Show the node's events; with --json one object a line. `--kind audit` is who called what and when.

    The node keeps the newest events (setting keep_events) and drops finished operations after some time
    (keep_operations_days).
    """
    of = subject(session, wanted) if wanted else ""
    # an operation that is long over may still have events: what is not known is passed on as it is
    operation = getattr(find_among(session.node.operations(), operation), "id", operation) if operation else ""
    stream: Iterable[Event]
    if follow:
        stream = session.node.follow_events(since, subject=of, operation=operation, kind=kind or "", last=last)
    else:
        stream = session.node.events(since, subject=of, operation=operation, kind=kind or "", last=last)
    try:
        for event in stream:
            click.echo(msgspec.json.encode(event) if session.as_json else _line(event))
    except KeyboardInterrupt:
        return


@click.command()
@click.option("--rebuild", is_flag=True, help="First make the list anew from what the infrastructures say now.")
@command
def alarms(session: Session, rebuild: bool) -> None:
    """List what was found broken and is not mended yet: VNFCs that ended or disappeared behind the node's back.

    With --rebuild missing alarms are raised, those that are over are cleared, and subscribers are told to read the list again.
    """
    found = session.node.rebuild_alarms() if rebuild else session.node.alarms()
    if session.as_json:
        session.emit(found)
        return
    names = {vnf.id: vnf.name for vnf in session.node.vnfs()}
    rows = [
        (output.short(a.subject), names.get(a.subject, ""), a.name.removeprefix("compute:"), a.time, a.detail)
        for a in found
    ]
    output.table(("VNF", "NAME", "VNFC", "SINCE", "WHAT"), rows)
    if found:
        output.note(f"{click.style('try:', fg='cyan')} skerry vnf heal {output.short(found[0].subject)}")


def _line(event: Event) -> str:
    state = click.style(event.state, fg=output.COLOURS.get(event.state))
    parts = (event.time, event.kind.ljust(9), output.short(event.subject).ljust(8), event.name, state, event.detail)
    return "  ".join(part for part in parts if part)


@click.command()
@click.argument("vnf")
@click.option("--vnfc", default="", help="VNFC, such as server-0; may be left out where there is only one.")
@click.option("--follow", "-f", is_flag=True, help="Go on as lines are printed.")
@click.option("--tail", "-n", type=click.IntRange(0), default=None, help="Only this many of the last lines.")
@click.option("--timestamps", "-t", is_flag=True, help="Begin each line with its time.")
@command
def logs(session: Session, vnf: str, vnfc: str, follow: bool, tail: int | None, timestamps: bool) -> None:
    """Show what the program of a VNFC printed."""
    try:
        for line in session.node.logs(find(session, vnf).id, vnfc, follow=follow, tail=tail):
            if session.as_json:
                click.echo(msgspec.json.encode(line))
            else:
                click.echo(f"{line.time} {line.text}" if timestamps else line.text, err=line.stream == "stderr")
    except KeyboardInterrupt:
        return


@click.command("exec", context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False})
@click.argument("vnf")
@click.argument("argv", nargs=-1, required=True)
@click.option("--vnfc", default="", help="VNFC, such as server-0; may be left out where there is only one.")
@click.option("--stdin", "-i", "stdin", is_flag=True, help="Give what comes on stdin to the command.")
@command
def run(session: Session, vnf: str, argv: tuple[str, ...], vnfc: str, stdin: bool) -> None:
    """Run a command inside a VNFC: skerry exec VNF -- ip address. Exits with the command's code, or 7 if that is not
    a number from 0 to 125."""
    text = sys.stdin.read() if stdin else ""
    words = argv[1:] if argv[0] == "--" else argv
    answer = session.node.exec(find(session, vnf).id, vnfc, words, text)
    if session.as_json:
        session.emit(answer)
    else:
        sys.stdout.write(answer.stdout)
        sys.stderr.write(answer.stderr)
    if answer.exit_code:
        raise SystemExit(answer.exit_code if 0 < answer.exit_code <= 125 else exits.OPERATION_FAILED)


@click.command()
@click.argument("vnf")
@click.option("--vnfc", default="", help="VNFC, such as server-0; may be left out where there is only one.")
@command
def stats(session: Session, vnf: str, vnfc: str) -> None:
    """Show the counters of a VNFC."""
    counters = session.node.stats(find(session, vnf).id, vnfc)
    if session.as_json:
        session.emit(counters)
        return
    output.facts(
        (
            ("CPU", f"{counters.cpu_seconds:.2f} s"),
            ("memory", output.size(counters.memory_bytes)),
            ("processes", str(counters.pids)),
        )
    )
    columns = (counters.rx_bytes, counters.rx_packets, counters.tx_bytes, counters.tx_packets)
    rows = [(device, *(str(column.get(device, 0)) for column in columns)) for device in sorted(counters.rx_bytes)]
    if rows:
        output.table(("DEVICE", "RX BYTES", "RX PACKETS", "TX BYTES", "TX PACKETS"), rows)
