"""`skerry lvnf agent`: the program that runs micro network functions on another machine for a node. It imports nothing of a
node."""

from __future__ import annotations

import socket
from pathlib import Path
from typing import Any

import click

PATH: Any = click.Path(path_type=Path)


@click.command()
@click.option("--connect", required=True, metavar="URL", help="The node, as wss://HOST:PORT.")
@click.option("--name", default="", help="Name of this agent; default the host's. A client's certificate fixes it.")
@click.option("--ca", type=PATH, default=None, help="The node's certificate authority, ca.pem.")
@click.option("--cert", type=PATH, default=None, help="Certificate of the agent's client.")
@click.option("--key", type=PATH, default=None, help="Its key.")
@click.option("--token-file", type=PATH, default=None, help="Token instead of a certificate; read at each connect.")
@click.option("--folder", type=PATH, default=Path("/var/lib/skerry-agent"), show_default=True, help="What it keeps.")
@click.option("--bridge", default="", help="Bridge of Open vSwitch for its functions; made if there is none.")
@click.option(
    "--switch-run",
    type=PATH,
    default=Path("/run/openvswitch"),
    show_default=True,
    help="Where the sockets of that Open vSwitch are.",
)
@click.option("--every", type=click.FloatRange(0.05, 60), default=2.0, show_default=True, help="Seconds of heartbeat.")
@click.option("--quiet", is_flag=True, help="Log nothing but trouble.")
def agent(
    connect: str,
    name: str,
    ca: Path | None,
    cert: Path | None,
    key: Path | None,
    token_file: Path | None,
    folder: Path,
    bridge: str,
    switch_run: Path,
    every: float,
    quiet: bool,
) -> None:
    """Run micro network functions on this machine for a node, until SIGTERM. The functions go on without the agent.

    Make a client for it on the node: `skerry access client create NAME --role operator --scope lvnf_agent:v1:all`, then
    `skerry access client certificate NAME`.
    """
    import asyncio  # noqa: PLC0415  # `skerry --help` shall not pay for an agent
    import logging  # noqa: PLC0415

    from skerry.lvnf.agent.channel import Target  # noqa: PLC0415
    from skerry.lvnf.agent.run import Options, serve  # noqa: PLC0415

    logging.basicConfig(
        level=logging.WARNING if quiet else logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s"
    )
    target = Target(url=connect, ca=ca, certificate=cert, key=key, token_file=token_file).checked()
    options = Options(
        agent=name or socket.gethostname(),
        target=target,
        folder=folder,
        bridge=bridge,
        switch_run=switch_run,
        every_s=every,
    )
    asyncio.run(serve(options))
