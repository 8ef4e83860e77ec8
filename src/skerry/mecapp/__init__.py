"""For edge applications: register at the MEC platform, offer and find services, hear of changes, ask for rules.

    async with App.from_environment() as app:
        await app.ready()
        await app.offer("cache", "http://10.0.0.9:8080")
        async for change in app.watch(names=["origin"]):
            ...

It speaks MEC 011 and nothing else, and needs nothing of a node: an application may copy it.
"""

from skerry.mecapp.app import App, Change
from skerry.mecapp.bus import Bus, Message
from skerry.mecapp.session import PlatformError

__all__ = ["App", "Bus", "Change", "Message", "PlatformError"]
