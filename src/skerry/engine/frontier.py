"""Which steps of a graph may run now. Pure; each step and each edge is looked at once."""

from __future__ import annotations

from collections.abc import Iterable, Mapping


class Frontier:
    """Keys whose needs are met become ready once; needs outside `keys` are met already."""

    def __init__(self, keys: Iterable[str], needs: Mapping[str, Iterable[str]]) -> None:
        waiting = list(keys)
        inside = set(waiting)
        self._open = {key: {need for need in needs[key] if need in inside} for key in waiting}
        self._followers: dict[str, list[str]] = {}
        for key, open_needs in self._open.items():
            for need in open_needs:
                self._followers.setdefault(need, []).append(key)
        self._ready = [key for key in waiting if not self._open[key]]

    def take(self) -> list[str]:
        """The keys that became ready since the last call."""
        taken, self._ready = self._ready, []
        return taken

    def done(self, key: str) -> None:
        """This key is met."""
        for follower in self._followers.pop(key, ()):
            self._open[follower].discard(key)
            if not self._open[follower]:
                self._ready.append(follower)


def inverse(needs: Mapping[str, Iterable[str]]) -> dict[str, tuple[str, ...]]:
    """Who needs each key."""
    found: dict[str, list[str]] = {key: [] for key in needs}
    for key, wanted in needs.items():
        for need in wanted:
            if need in found:
                found[need].append(key)
    return {key: tuple(keys) for key, keys in found.items()}
