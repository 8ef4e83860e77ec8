"""Which back end runs a graph: bytecode in the kernel where it can, else a process of our own, else the Click of others."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from skerry.errors import Fault, InvalidError
from skerry.lvnf.backend import Backend
from skerry.lvnf.graph import Graph

ORDER = ("ebpf", "process", "click")


class Backends:
    """The back ends of this machine, each made when first needed."""

    def __init__(self, made: Mapping[str, Backend] | None = None) -> None:
        self._made = dict(made or {})
        self._all = made is None

    def names(self) -> tuple[str, ...]:
        """Every back end, the preferred first."""
        return ORDER if self._all else tuple(name for name in ORDER if name in self._made)

    def get(self, name: str) -> Backend:
        """A back end by name."""
        if name not in self._made:
            if name not in self.names():
                raise InvalidError(
                    f"cannot use the back end {name!r}", suggestion=f"there are: {', '.join(self.names())}"
                )
            self._made[name] = _make(name)
        return self._made[name]

    def choose(self, graph: Graph, pinned: str = "") -> tuple[Backend, tuple[str, ...]]:
        """The first that has nothing to refuse, and why; with `pinned` that one only. `InvalidError` tells what each
        refuses."""
        why: list[str] = []
        for name in (pinned,) if pinned else self.names():
            backend = self.get(name)
            refusals = backend.refusals(graph)
            why += [f"{name}: {reason}" for reason in refusals]
            if not refusals:
                asked = "the descriptor asks for it" if pinned else "it runs the whole configuration"
                return backend, (*why, f"{name}: {asked}")
        raise InvalidError(
            f"cannot run the configuration with {pinned or 'any back end'}: {why[0]}",
            faults=[Fault(message=reason, code="backend") for reason in why],
            suggestion="leave out what is refused, or do not ask for a back end",
        )

    def close(self) -> None:
        """End what back ends keep for themselves. Functions go on."""
        for backend in self._made.values():
            close = getattr(backend, "close", None)
            if close is not None:
                close()


def _make(name: str) -> Backend:
    """Imported here, since most nodes need one of them or none."""
    if name == "ebpf":
        from skerry.lvnf.backends.ebpf import EbpfBackend  # noqa: PLC0415

        return EbpfBackend()
    if name == "process":
        from skerry.lvnf.backends.process import ProcessBackend  # noqa: PLC0415

        return ProcessBackend()
    from skerry.lvnf.backends.click import ClickBackend  # noqa: PLC0415

    return ClickBackend()


def explained(why: Sequence[str]) -> str:
    """The reasons on one line."""
    return "; ".join(why)
