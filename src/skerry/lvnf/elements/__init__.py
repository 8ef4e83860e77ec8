"""The elements of functions that run in a process, one class for each class of Click."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from skerry.lvnf.elements import (
    classifying,
    counting,
    gateway,
    headers,
    internet,
    plain,
    printing,
    queueing,
    rewriting,
    script,
    switching,
    tunnels,
)
from skerry.lvnf.elements.behaviour import Behaviour

CLASSES: Mapping[str, type[Behaviour[Any]]] = {
    one.__name__: one
    for one in (
        plain.FromDevice,
        plain.ToDevice,
        plain.Discard,
        plain.Idle,
        plain.Null,
        classifying.Classifier,
        classifying.IPClassifier,
        classifying.IPFilter,
        headers.Strip,
        headers.Unstrip,
        headers.EtherEncap,
        headers.VLANEncap,
        headers.VLANDecap,
        headers.EtherMirror,
        headers.EtherRewrite,
        headers.ARPResponder,
        internet.CheckIPHeader,
        internet.ICMPPingResponder,
        internet.IPEncap,
        internet.UDPIPEncap,
        rewriting.IPRewriter,
        counting.Counter,
        counting.AverageCounter,
        counting.Meter,
        switching.Tee,
        switching.Switch,
        switching.RoundRobinSwitch,
        switching.Paint,
        switching.CheckPaint,
        switching.RandomSample,
        queueing.Queue,
        queueing.Unqueue,
        queueing.RatedUnqueue,
        queueing.Shaper,
        queueing.BandwidthShaper,
        tunnels.GTPEncap,
        tunnels.GTPDecap,
        gateway.GTPGateway,
        tunnels.NSHEncap,
        tunnels.NSHDecap,
        printing.Print,
        script.Script,
    )
}
"""All of them by name."""
