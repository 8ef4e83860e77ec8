"""What the data plane was asked for outlives the process."""

from __future__ import annotations

from pathlib import Path

import pytest

from skerry.dataplane.compile import Retired
from skerry.dataplane.intents import Classifier, Device, Forward, GtpClassifier, Link, Port, Side, Steering
from skerry.dataplane.records import DeviceRecord, IntentRecord, Wishes, difference, wishes_of
from skerry.store.database import Database
from skerry.store.dataplane import Ledger

STEERING = Steering(
    id="s", tenant="blue", sticky_s=5, classifier=Classifier(gtp=GtpClassifier(teid=1)), actions=(Forward(port="p"),)
)
WISHES = Wishes(
    devices={"d": DeviceRecord(device=Device(id="d", namespace="n"), engine="ovs", revision=4)},
    ports={"p": Port(id="p", device="d", side=Side.RAN, number=3)},
    links={"l": Link(id="l", a="p", b="q")},
    intents={"s": IntentRecord(intent=STEERING, changed_at="2030-01-01T00:00:00Z")},
    retired={"77": Retired(steering=STEERING, until=9.5, seen=2)},
)


@pytest.mark.feature("E46")
async def test_wishes_are_kept_and_forgotten_as_a_whole(tmp_path: Path) -> None:
    database = Database(tmp_path / "kept.db")
    database.open()
    put, drop = difference(Wishes(), WISHES)
    await Ledger(database).save(put, drop)
    database.close()
    database.open()
    ledger = Ledger(database)
    assert wishes_of(ledger.load()) == WISHES
    changed = Wishes(devices=WISHES.devices, ports=WISHES.ports)
    put, drop = difference(WISHES, changed)
    assert (put, sorted(drop)) == ([], ["intent/s", "link/l", "retired/77"])
    await ledger.save(put, drop)
    assert wishes_of(ledger.load()) == changed
    database.close()
