"""A graph as text: the flat configuration, and what an element's ports are connected to, as Click prints them."""

from __future__ import annotations

from skerry.lvnf.catalogue import KINDS
from skerry.lvnf.graph import Connection, Graph


def flat_text(graph: Graph) -> str:
    """The configuration without compound elements, which reads back as the same graph."""
    lines = [
        f"{name} :: {element.class_name}{f'({element.text})' if element.text else ''};"
        for name, element in graph.elements.items()
    ]
    return "\n".join([*lines, "", *(_connection(one) for one in graph.connections)]) + "\n"


def _connection(one: Connection) -> str:
    leaving = f" [{one.output}]" if one.output else ""
    entering = f"[{one.input}] " if one.input else ""
    return f"{one.source}{leaving} -> {entering}{one.target};"


def ports_text(graph: Graph, name: str) -> str:
    """What the handler `ports` prints: each port's processing ("~": it follows what is connected) and what is connected."""
    element = graph.elements[name]
    kind = KINDS[element.class_name]
    lines = [f"{element.inputs} input{'' if element.inputs == 1 else 's'}"]
    for port in range(element.inputs):
        entering = graph.before(name, port)
        lines.append(_port(kind.input_code(port), entering, [f"{one.source} [{one.output}]" for one in entering]))
    lines.append(f"{element.outputs} output{'' if element.outputs == 1 else 's'}")
    for port in range(element.outputs):
        found = graph.next(name, port)
        leaving = () if found is None else (found,)
        lines.append(_port(kind.output_code(port), leaving, [f"[{one.input}] {one.target}" for one in leaving]))
    return "\n".join(lines) + "\n"


def _port(code: str, connections: tuple[Connection, ...], names: list[str]) -> str:
    processing = connections[0].processing.value if connections else {"l": "pull"}.get(code, "push")
    return f"{processing}{'~' if code == 'a' else ''}\t-\t{', '.join(names)}"
