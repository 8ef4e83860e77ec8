"""How the examples start: as an orchestrator's application, or by hand with a token of the environment."""

from __future__ import annotations

import os

from skerry.mecapp import App
from skerry.mecapp.session import Session


async def start(name: str) -> App:
    """The application, registered and ready."""
    if token := os.environ.get("MEC_TOKEN", ""):
        app = App(Session(os.environ["MEC_MP1_ENDPOINT"], token=token, ca=os.environ.get("MEC_CA", "")))
    else:
        app = App.from_environment()
    await app.register(name)
    await app.ready()
    return app
