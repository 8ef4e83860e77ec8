"""Our own API: agents on other machines, and the micro network functions that they run."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import msgspec
from msgspec import Meta
from starlette.responses import Response

from skerry.api import body
from skerry.api.own.types import Asked
from skerry.api.route import Call, Endpoint, Query
from skerry.client.lvnf_agents import AgentShown, FunctionShown, HandlerShown, StatsShown
from skerry.lvnf.agent.messages import Control, FunctionSpec, PortSpec, Status
from skerry.lvnf.agents import AgentView


class FunctionRequest(Asked, frozen=True, kw_only=True):
    """A function as it is wanted: a Click configuration, its ports, a back end ("" = the agent chooses), and an address of
    loopback on the agent's machine where its ControlSocket is served ("" = none)."""

    configuration: Annotated[str, Meta(max_length=500_000)]
    ports: tuple[PortSpec, ...] = ()
    backend: Annotated[str, Meta(max_length=40)] = ""
    control: Control = ""


class HandlerRequest(Asked, frozen=True, kw_only=True):
    """What to write to a handler, "element.handler"."""

    handler: Annotated[str, Meta(max_length=1000)]
    value: Annotated[str, Meta(max_length=100_000)] = ""


def _agent(view: AgentView) -> AgentShown:
    caps, cpu = view.caps, view.cpu
    return AgentShown(
        id=view.agent,
        state=view.state,
        connected=view.connected,
        since=view.since,
        seen_at=view.seen_at,
        functions=view.functions,
        backends=caps.backends if caps else (),
        ports=tuple(kind.value for kind in caps.ports) if caps else (),
        bridge=caps.bridge if caps else "",
        program=caps.program if caps else "",
        cpu_busy=cpu.busy if cpu else 0.0,
        cpu_count=cpu.count if cpu else 0,
        load=cpu.load if cpu else 0.0,
        memory_bytes=cpu.memory_bytes if cpu else 0,
        memory_free_bytes=cpu.memory_free_bytes if cpu else 0,
    )


def _function(status: Status) -> FunctionShown:
    return FunctionShown(
        id=status.lvnf,
        state=status.state.value,
        backend=status.backend,
        why=status.why,
        ports=status.ports,
        times_ms=status.times_ms,
        trouble=status.trouble,
    )


async def agents(call: Call) -> Response:
    """All agents, also those that are down."""
    return call.listed([_agent(view) for view in call.services.lvnf_agents.agents()], lambda shown: shown)


async def agent(call: Call) -> Response:
    """One agent: whether it is there, what it can, how its machine is."""
    return call.show(_agent(call.services.lvnf_agents.agent(call.path("agentId"))))


async def forget(call: Call) -> Response:
    """Forget an agent that is not connected; its functions, if they run, go on."""
    call.services.lvnf_agents.forget(call.path("agentId"))
    return call.done()


async def functions(call: Call) -> Response:
    """The functions of an agent, as it told them."""
    found: Sequence[Status] = call.services.lvnf_agents.functions(call.path("agentId"))
    return call.listed([_function(status) for status in found], lambda shown: shown)


async def function(call: Call) -> Response:
    """One function: as it is, or as its agent told it last where that is not connected."""
    agents, where = call.services.lvnf_agents, (call.path("agentId"), call.path("lvnfId"))
    here = agents.agent(where[0]).connected
    return call.show(_function(await agents.refresh(*where) if here else agents.function(*where)))


async def put_function(call: Call) -> Response:
    """Run a function; one of that name that runs gets the new configuration without losing a packet."""
    asked = await call.body(FunctionRequest)
    spec = body.convert({"name": call.path("lvnfId"), **msgspec.to_builtins(asked)}, FunctionSpec)
    return call.show(_function(await call.services.lvnf_agents.add(call.path("agentId"), spec)))


async def delete_function(call: Call) -> Response:
    """Stop and delete a function."""
    await call.services.lvnf_agents.remove(call.path("agentId"), call.path("lvnfId"))
    return call.done()


async def stats(call: Call) -> Response:
    """What a function uses now."""
    found = await call.services.lvnf_agents.stats(call.path("agentId"), call.path("lvnfId"))
    return call.show(
        StatsShown(
            memory_bytes=found.memory_bytes,
            cpu_seconds=found.cpu_seconds,
            pids=found.pids,
            uptime_s=found.uptime_s,
        )
    )


async def read_handler(call: Call) -> Response:
    """The value of a handler."""
    name = call.query("handler")
    value = await call.services.lvnf_agents.get(call.path("agentId"), call.path("lvnfId"), name)
    return call.show(HandlerShown(handler=name, value=value))


async def write_handler(call: Call) -> Response:
    """Write a handler."""
    asked = await call.body(HandlerRequest)
    where = call.path("agentId"), call.path("lvnfId")
    await call.services.lvnf_agents.set(*where, asked.handler, asked.value)
    return call.done()


ONE = "/lvnf-agents/{agentId}"
LVNF = f"{ONE}/lvnfs/{{lvnfId}}"
ROUTES = (
    Endpoint("GET", "/lvnf-agents", agents, "List agents of micro network functions", answer=list[AgentShown]),
    Endpoint("GET", ONE, agent, "Read an agent", answer=AgentShown),
    Endpoint("DELETE", ONE, forget, "Forget an agent", status=204),
    Endpoint("GET", f"{ONE}/lvnfs", functions, "List an agent's functions", answer=list[FunctionShown]),
    Endpoint("GET", LVNF, function, "Read a function of an agent", answer=FunctionShown),
    Endpoint("PUT", LVNF, put_function, "Run a function at an agent", FunctionRequest, FunctionShown),
    Endpoint("DELETE", LVNF, delete_function, "Delete a function at an agent", status=204),
    Endpoint("GET", f"{LVNF}/stats", stats, "What a function at an agent uses", answer=StatsShown),
    Endpoint(
        "GET",
        f"{LVNF}/handlers",
        read_handler,
        "Read a handler of a function at an agent",
        answer=HandlerShown,
        query=(Query("handler", "ELEMENT.HANDLER"),),
    ),
    Endpoint("PUT", f"{LVNF}/handlers", write_handler, "Write a handler", HandlerRequest, status=204),
)
