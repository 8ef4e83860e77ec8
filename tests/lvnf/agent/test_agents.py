"""The node's side of the protocol: heartbeats, what agents tell, questions and answers, and what is refused."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from skerry.engine.clock import SystemClock
from skerry.errors import (
    ConflictError,
    DriverError,
    ForbiddenError,
    InvalidError,
    MalformedError,
    NotFoundError,
    SkerryError,
    UnavailableError,
)
from skerry.lvnf.agent import messages
from skerry.lvnf.agent.messages import Answer, Caps, Cpu, FunctionSpec, Hello, PortKind, State, Stats, Status, Trouble
from skerry.lvnf.agents import DOWN, FORGOTTEN, LARGEST, UP, Agents, Session
from tests.vim.conftest import eventually

pytestmark = pytest.mark.feature("C37")

CPU = Cpu(busy=0.25, count=2, load=0.5, memory_bytes=100, memory_free_bytes=50)
CAPS = Caps(backends=("process",), elements=("Counter",), ports=(PortKind.TAP,))


class World:
    """The agents of a node, and what was told of them."""

    def __init__(self, folder: Path) -> None:
        self.file = folder / "agents.json"
        self.told: list[tuple[str, str, Mapping[str, Any]]] = []
        self.agents = self.fresh()

    def fresh(self) -> Agents:
        return Agents("node", self.file, SystemClock(), lambda *said: self.told.append(said))

    def states(self) -> list[tuple[str, str]]:
        return [(agent, state) for agent, state, _ in self.told]


class Agent:
    """An agent whose words a test chooses."""

    def __init__(self, agents: Agents, name: str = "edge", known_as: str = "") -> None:
        self.name = name
        self.seq = 0
        self.heard: list[messages.FromNode] = []
        self.hung = asyncio.Event()
        self.session: Session = agents.connect(known_as, self._hear, self.hung.set)

    async def _hear(self, text: bytes) -> None:
        self.heard.append(messages.decode_from_node(text))

    async def say(self, message: messages.FromAgent) -> None:
        await self.session.hear(messages.encode(message))

    async def hello(self, every_ms: int = 60_000) -> None:
        await self.say(Hello(agent=self.name, seq=self.seq, every_ms=every_ms, cpu=CPU))
        self.seq += 1

    async def asked(self) -> Any:
        """The next question."""
        start = len(self.heard)

        async def there() -> bool:
            return len(self.heard) > start

        await eventually(there)
        return self.heard[start]


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    made = World(tmp_path)
    await made.agents.start()
    yield made
    await made.agents.stop()


async def test_an_agent_says_hello_and_is_known(world: World) -> None:
    agent = Agent(world.agents)
    await agent.hello()
    assert agent.heard == [messages.Welcome(node="node")]
    await agent.say(CAPS)
    await agent.say(Status(lvnf="f", state=State.RUNNING, backend="process", times_ms={"start": 9.5}))
    view = world.agents.agent("edge")
    assert (view.state, view.connected, view.cpu, view.caps, view.functions) == (UP, True, CPU, CAPS, 1)
    assert world.agents.function("edge", "f").times_ms == {"start": 9.5}
    assert world.states() == [("edge", UP), ("edge", "running")]


async def test_heartbeats_are_answered_once(world: World) -> None:
    agent = Agent(world.agents)
    for _ in range(3):
        await agent.hello()
    assert len(agent.heard) == 1


async def test_an_agent_that_misses_its_heartbeats_is_down_until_it_is_back(world: World) -> None:
    agent = Agent(world.agents)
    await agent.hello(every_ms=50)
    await agent.say(Status(lvnf="f", state=State.RUNNING))
    await asyncio.wait_for(agent.hung.wait(), 10)
    assert world.agents.agent("edge").state == DOWN
    assert world.told[-1][:2] == ("edge", DOWN)
    assert world.told[-1][2]["functions"] == ["f"]
    agent.session.ended()
    again = Agent(world.agents)
    await again.hello()
    assert world.agents.agent("edge").state == UP
    assert world.states()[-1] == ("edge", UP)


async def test_an_agent_that_keeps_its_heartbeats_stays_up(world: World) -> None:
    agent = Agent(world.agents)
    for _ in range(20):
        await agent.hello(every_ms=1000)
        await asyncio.sleep(0)
    assert world.states() == [("edge", UP)]
    assert not agent.hung.is_set()


async def test_after_a_reconnect_what_the_agent_tells_counts(world: World) -> None:
    agent = Agent(world.agents)
    await agent.hello()
    await agent.say(Status(lvnf="old", state=State.RUNNING))
    again = Agent(world.agents)
    await again.hello()
    assert agent.hung.is_set()
    await again.say(Status(lvnf="new", state=State.RUNNING))
    assert [one.lvnf for one in world.agents.functions("edge")] == ["new"]
    agent.session.ended()
    assert world.agents.agent("edge").connected


async def test_agents_are_remembered_over_a_restart_of_the_node(world: World) -> None:
    await Agent(world.agents).hello()
    await world.agents.stop()
    world.agents = world.fresh()
    await world.agents.start()
    view = world.agents.agent("edge")
    assert (view.state, view.connected, view.seen_at) == (UP, False, "")
    with pytest.raises(UnavailableError, match="not connected"):
        await world.agents.stats("edge", "f")


async def test_questions_are_answered(world: World) -> None:
    agent = Agent(world.agents)
    await agent.hello()
    wanted = FunctionSpec(name="f", configuration="x")
    adding = asyncio.create_task(world.agents.add("edge", wanted))
    question = await agent.asked()
    assert question == messages.AddLvnf(id=question.id, lvnf=wanted)
    await agent.say(Answer(id=question.id, status=Status(lvnf="f", state=State.RUNNING)))
    assert (await adding).state is State.RUNNING
    assert world.agents.function("edge", "f").state is State.RUNNING

    asking = asyncio.create_task(world.agents.stats("edge", "f"))
    question = await agent.asked()
    stats = Stats(memory_bytes=1, cpu_seconds=2.5, pids=3, uptime_s=4)
    await agent.say(Answer(id=question.id, stats=stats))
    assert await asking == stats

    reading = asyncio.create_task(world.agents.get("edge", "f", "c.count"))
    question = await agent.asked()
    assert question == messages.GetHandler(id=question.id, lvnf="f", handler="c.count")
    await agent.say(Answer(id=question.id, value="7"))
    assert await reading == "7"

    removing = asyncio.create_task(world.agents.remove("edge", "f"))
    question = await agent.asked()
    await agent.say(Answer(id=question.id, status=Status(lvnf="f", state=State.STOPPED, gone=True)))
    assert (await removing).gone
    with pytest.raises(NotFoundError, match="function f"):
        world.agents.function("edge", "f")
    assert world.states()[-1] == ("edge", "deleted")


@pytest.mark.parametrize(
    ("kind", "error"),
    [("invalid", InvalidError), ("not-found", NotFoundError), ("conflict", ConflictError), ("failed", DriverError)],
)
async def test_refusals_are_the_same_errors_here(world: World, kind: str, error: type[SkerryError]) -> None:
    agent = Agent(world.agents)
    await agent.hello()
    asking = asyncio.create_task(world.agents.set("edge", "f", "s.switch", "9"))
    question = await agent.asked()
    trouble = Trouble(kind=kind, detail="cannot do it", suggestion="do another", faults=("a: b",))
    await agent.say(Answer(id=question.id, trouble=trouble))
    with pytest.raises(error, match="cannot do it") as caught:
        await asking
    assert caught.value.suggestion == "do another"
    if kind == "invalid":
        assert [fault.message for fault in caught.value.faults] == ["a: b"]


async def test_who_waits_is_told_when_the_connection_breaks(world: World) -> None:
    agent = Agent(world.agents)
    await agent.hello()
    asking = asyncio.create_task(world.agents.get("edge", "f", "c.count"))
    await agent.asked()
    agent.session.ended()
    with pytest.raises(UnavailableError, match="connection broke"):
        await asking
    with pytest.raises(UnavailableError, match="not connected"):
        await world.agents.get("edge", "f", "c.count")


async def test_only_an_agent_that_is_not_there_can_be_forgotten(world: World) -> None:
    agent = Agent(world.agents)
    await agent.hello()
    with pytest.raises(ConflictError, match="it is connected"):
        world.agents.forget("edge")
    agent.session.ended()
    world.agents.forget("edge")
    assert world.agents.agents() == []
    assert world.states()[-1] == ("edge", FORGOTTEN)
    with pytest.raises(NotFoundError, match="agent edge"):
        world.agents.agent("edge")


async def test_nobody_speaks_for_another_agent(world: World) -> None:
    with pytest.raises(ForbiddenError, match="edge"):
        await Agent(world.agents, "edge", known_as="other").hello()
    agent = Agent(world.agents, "edge", known_as="edge")
    await agent.hello()
    agent.name = "other"
    with pytest.raises(ForbiddenError, match="other"):
        await agent.hello()
    assert [view.agent for view in world.agents.agents()] == ["edge"]


async def test_nothing_counts_before_a_hello(world: World) -> None:
    agent = Agent(world.agents)
    with pytest.raises(MalformedError, match="before a hello"):
        await agent.say(CAPS)
    with pytest.raises(MalformedError, match="version 9"):
        await agent.say(Hello(agent="edge", seq=0, every_ms=1000, cpu=CPU, version=9))
    assert world.agents.agents() == []


async def test_an_agent_tells_of_so_many_functions_and_no_more(world: World) -> None:
    agent = Agent(world.agents)
    await agent.hello()
    for number in range(messages.FUNCTIONS):
        await agent.say(Status(lvnf=f"f{number}", state=State.RUNNING))
    with pytest.raises(ConflictError, match="more than 4096 functions of the agent edge"):
        await agent.say(Status(lvnf="more", state=State.RUNNING))
    await agent.say(Status(lvnf="f0", state=State.STOPPED))
    await agent.say(Status(lvnf="f1", state=State.STOPPED, gone=True))
    await agent.say(Status(lvnf="more", state=State.RUNNING))
    assert world.agents.agent("edge").functions == messages.FUNCTIONS


async def test_an_agent_does_not_fill_the_memory_with_words(world: World) -> None:
    agent = Agent(world.agents)
    await agent.hello()
    trouble = "x" * (LARGEST // 20)
    for number in range(19):
        for state in (State.RUNNING, State.FAILED):
            await agent.say(Status(lvnf=f"f{number}", state=state, trouble=trouble))
    with pytest.raises(ConflictError, match="bytes about the functions"):
        await agent.say(Status(lvnf="more", state=State.FAILED, trouble=trouble))
    await agent.say(Status(lvnf="f0", state=State.STOPPED, gone=True))
    await agent.say(Status(lvnf="more", state=State.FAILED, trouble=trouble))
    again = Agent(world.agents)
    await again.hello()
    await again.say(Status(lvnf="other", state=State.FAILED, trouble=trouble))
    assert world.agents.agent("edge").functions == 1


async def test_a_message_that_is_too_long_is_refused(world: World) -> None:
    with pytest.raises(MalformedError, match="bytes"):
        await Agent(world.agents).session.hear(b" " * (messages.LARGEST + 1))


@given(
    text=st.binary(max_size=60)
    | st.recursive(st.none() | st.text(max_size=5), st.lists, max_leaves=5).map(msgspec.json.encode)
)
def test_any_text_is_understood_or_refused(text: bytes, tmp_path_factory: pytest.TempPathFactory) -> None:
    async def hear() -> None:
        agents = Agents("node", tmp_path_factory.getbasetemp() / "any.json", SystemClock(), lambda *_: None)
        with pytest.raises(MalformedError):
            await agents.connect("", lambda _: asyncio.sleep(0), lambda: None).hear(text)

    asyncio.run(hear())


def test_every_message_reads_back() -> None:
    spec = FunctionSpec(name="f", configuration="x")
    from_node: list[messages.FromNode] = [
        messages.Welcome(node="n"), messages.AddLvnf(id=1, lvnf=spec), messages.DelLvnf(id=2, lvnf="f"),
        messages.AskStatus(id=3, lvnf="f"), messages.AskStats(id=4, lvnf="f"),
        messages.GetHandler(id=5, lvnf="f", handler="c.count"),
        messages.SetHandler(id=6, lvnf="f", handler="s.switch", value="1"),
    ]  # fmt: skip
    for message in from_node:
        text = messages.encode(message)
        assert messages.decode_from_node(text) == message
    kinds = [msgspec.json.decode(messages.encode(one))["type"] for one in from_node]
    assert kinds == ["welcome", "add_lvnf", "del_lvnf", "lvnf_status", "lvnf_stats", "lvnf_get", "lvnf_set"]


@pytest.mark.parametrize(
    ("ports", "fault"),
    [
        ([{"device": "eth0"}, {"device": "eth0"}], "the device eth0 is named twice"),
        ([{"device": "eth0", "kind": "tap"}], "the tap eth0 has no name"),
        ([{"device": "a", "kind": "tap", "name": "t"}, {"device": "b", "kind": "tap", "name": "t"}], "interface t"),
    ],
)
def test_ports_that_do_not_fit_together(ports: list[dict[str, str]], fault: str) -> None:
    (told,) = messages.port_faults(msgspec.convert(ports, list[messages.PortSpec]))
    assert fault in told
