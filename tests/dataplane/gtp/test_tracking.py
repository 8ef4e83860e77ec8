"""Control planes say where tunnels lead; an independent program makes the messages of GTPv1-C and PFCP."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scapy.contrib import gtp, pfcp
from scapy.layers.inet import IP, UDP
from scapy.layers.l2 import Ether
from scapy.layers.sctp import SCTP, SCTPChunkData, SCTPChunkSACK

from skerry.dataplane.flows import Origin, Session, Tunnel
from skerry.dataplane.gtp import gtpc, ranap, snooping
from skerry.dataplane.gtp import pfcp as reading
from skerry.dataplane.gtp.facts import End, Fact, Packet
from skerry.dataplane.gtp.tracker import PENDING_S, Sides, Tracker

RAN, CORE, UE = "10.1.0.1", "10.1.0.2", "10.45.0.2"
SIDES = Sides(ran=0x020000000101, core=0x020000000102)
pytestmark = pytest.mark.feature("C39", "E109")


def told(tracker: Tracker, *facts: Fact, now: float = 0.0) -> dict[str, Session]:
    return tracker.feed(facts, now).put


def ends(session: Session) -> tuple[int, str, str, int, str, str]:
    assert session.up
    assert session.down
    return (session.up.teid, session.up.src, session.up.dst, session.down.teid, session.down.src, session.down.dst)


def pdp_context(sequence: int, up: int, down: int, ue: str = UE) -> list[Packet]:
    request = gtp.GTPHeader(S=1, seq=sequence, teid=0, gtp_type=16) / gtp.GTPCreatePDPContextRequest(
        IE_list=[
            gtp.IE_TEIDI(TEIDI=down),
            gtp.IE_TEICP(TEICI=7),
            gtp.IE_GSNAddress(length=4, ipv4_address=RAN),
            gtp.IE_GSNAddress(length=4, ipv4_address=RAN),
        ]
    )
    answer = gtp.GTPHeader(S=1, seq=sequence, teid=7, gtp_type=17) / gtp.GTPCreatePDPContextResponse(
        IE_list=[
            gtp.IE_Cause(CauseValue=128),
            gtp.IE_TEIDI(TEIDI=up),
            gtp.IE_TEICP(TEICI=9),
            gtp.IE_EndUserAddress(length=6, PDPTypeOrganization=1, PDPTypeNumber=0x21, PDPAddress=ue),
            gtp.IE_GSNAddress(length=4, ipv4_address=CORE),
            gtp.IE_GSNAddress(length=4, ipv4_address=CORE),
        ]
    )
    return [Packet(RAN, CORE, bytes(request)), Packet(CORE, RAN, bytes(answer))]


def test_a_pdp_context_is_a_session_and_ends() -> None:
    tracker = Tracker(SIDES)
    request, answer = pdp_context(5, up=0x11, down=0x22)
    assert told(tracker, *gtpc.facts(request)) == {}
    session = told(tracker, *gtpc.facts(answer))[UE]
    assert ends(session) == (0x11, RAN, CORE, 0x22, CORE, RAN)
    assert session.origin is Origin.SNOOPED
    deleted = gtp.GTPHeader(S=1, seq=6, teid=9, gtp_type=20) / gtp.GTPDeletePDPContextRequest(IE_list=[])
    assert tracker.feed(gtpc.facts(Packet(RAN, CORE, bytes(deleted))), 1.0).gone == {UE}
    assert tracker.sessions() == []


def test_a_teid_that_is_given_anew_belongs_to_the_newer_user() -> None:
    tracker = Tracker(SIDES)
    for packet in pdp_context(5, up=0x11, down=0x22):
        tracker.feed(gtpc.facts(packet), 0.0)
    request, answer = pdp_context(6, up=0x11, down=0x23, ue="10.45.0.3")
    tracker.feed(gtpc.facts(request), 1.0)
    changes = tracker.feed(gtpc.facts(answer), 1.0)
    assert (set(changes.put), changes.gone) == ({"10.45.0.3"}, {UE})


def test_a_refused_context_leaves_nothing() -> None:
    tracker = Tracker(SIDES)
    request, answer = pdp_context(5, up=0x11, down=0x22)
    at = answer.data.index(b"\x01\x80")
    refused = Packet(CORE, RAN, answer.data[: at + 1] + b"\xc0" + answer.data[at + 2 :])
    for packet in (request, refused):
        assert tracker.feed(gtpc.facts(packet), 0.0).put == {}


def pfcp_session() -> list[Packet]:
    pdi = pfcp.IE_PDI(
        IE_list=[
            pfcp.IE_SourceInterface(interface="Access"),
            pfcp.IE_FTEID(V4=1, TEID=0x31, ipv4=CORE),
            pfcp.IE_UE_IP_Address(V4=1, ipv4=UE),
            pfcp.IE_QFI(QFI=9),
        ]
    )
    request = pfcp.PFCP(version=1, S=1, seid=0, seq=3) / pfcp.PFCPSessionEstablishmentRequest(
        IE_list=[
            pfcp.IE_FSEID(v4=1, seid=0xA, ipv4="10.2.0.1"),
            pfcp.IE_CreatePDR(IE_list=[pfcp.IE_PDR_Id(id=1), pdi]),
        ]
    )
    answer = pfcp.PFCP(version=1, S=1, seid=0xA, seq=3) / pfcp.PFCPSessionEstablishmentResponse(
        IE_list=[pfcp.IE_Cause(cause=1), pfcp.IE_FSEID(v4=1, seid=0xB, ipv4="10.2.0.2")]
    )
    header = pfcp.IE_OuterHeaderCreation(GTPUUDPIPV4=1, TEID=0x32, ipv4=RAN)
    forwarding = pfcp.IE_UpdateForwardingParameters(IE_list=[header])
    update = pfcp.PFCP(version=1, S=1, seid=0xB, seq=4) / pfcp.PFCPSessionModificationRequest(
        IE_list=[pfcp.IE_UpdateFAR(IE_list=[pfcp.IE_FAR_Id(id=2), forwarding])]
    )
    smf, upf = "10.2.0.1", "10.2.0.2"
    return [Packet(smf, upf, bytes(request)), Packet(upf, smf, bytes(answer)), Packet(smf, upf, bytes(update))]


def test_a_pfcp_session_is_complete_with_the_base_stations_end() -> None:
    tracker = Tracker(SIDES)
    *first, last = pfcp_session()
    for packet in first:
        assert tracker.feed(reading.facts(packet), 0.0).put == {}
    session = told(tracker, *reading.facts(last))[UE]
    assert ends(session) == (0x31, RAN, CORE, 0x32, CORE, RAN)
    assert session.up
    assert session.up.qfi == 9
    deleted = pfcp.PFCP(version=1, S=1, seid=0xB, seq=5) / pfcp.PFCPSessionDeletionRequest(IE_list=[])
    assert tracker.feed(reading.facts(Packet("10.2.0.1", "10.2.0.2", bytes(deleted))), 1.0).gone == {UE}


def element(number: int, name: str, value: Any) -> dict[str, Any]:
    return {"id": number, "criticality": "ignore", "value": (name, value)}


def s1ap_setup(teid: int, *, answer: bool) -> bytes:
    ids = [element(0, "MME-UE-S1AP-ID", 77), element(8, "ENB-UE-S1AP-ID", 5)]
    end = {
        "e-RAB-ID": 5,
        "transportLayerAddress": (int.from_bytes(bytes([10, 1, 0, 1 if answer else 2]), "big"), 32),
        "gTP-TEID": teid.to_bytes(4, "big"),
    }
    if answer:
        listed = element(51, "E-RABSetupListCtxtSURes", [element(50, "E-RABSetupItemCtxtSURes", end)])
        message: Any = ("InitialContextSetupResponse", {"protocolIEs": [*ids, listed]})
        kind = "successfulOutcome"
    else:
        priority = {
            "priorityLevel": 1,
            "pre-emptionCapability": "shall-not-trigger-pre-emption",
            "pre-emptionVulnerability": "not-pre-emptable",
        }
        item = {**end, "e-RABlevelQoSParameters": {"qCI": 9, "allocationRetentionPriority": priority}}
        rates = {"uEaggregateMaximumBitRateDL": 1, "uEaggregateMaximumBitRateUL": 1}
        listed = element(24, "E-RABToBeSetupListCtxtSUReq", [element(52, "E-RABToBeSetupItemCtxtSUReq", item)])
        algorithms = {"encryptionAlgorithms": (0, 16), "integrityProtectionAlgorithms": (0, 16)}
        rest = [element(107, "UESecurityCapabilities", algorithms), element(73, "SecurityKey", (0, 256))]
        listed_all = [*ids, element(66, "UEAggregateMaximumBitrate", rates), listed, *rest]
        message = ("InitialContextSetupRequest", {"protocolIEs": listed_all})
        kind = "initiatingMessage"
    return aper("S1AP", (kind, {"procedureCode": 9, "criticality": "reject", "value": message}))


def aper(protocol: str, value: Any) -> bytes:
    from importlib import import_module

    module = import_module(f"pycrate_asn1dir.{protocol}")
    description = getattr(getattr(module, f"{protocol}_PDU_Descriptions"), f"{protocol}_PDU")
    description.set_val(value)
    return bytes(description.to_aper())


def test_s1ap_gives_both_ends_and_the_uplink_tells_whose_they_are() -> None:
    tracker = Tracker(SIDES)
    for data in (s1ap_setup(0x41, answer=False), s1ap_setup(0x42, answer=True)):
        assert told(tracker, *ranap.s1ap(data)) == {}
    up = Tunnel(teid=0x41, src=RAN, dst=CORE, eth_src=1, eth_dst=2)
    session = tracker.learned([Session(ue=UE, up=up, origin=Origin.LEARNED)]).put[UE]
    assert ends(session) == (0x41, RAN, CORE, 0x42, CORE, RAN)
    released = (
        "successfulOutcome",
        {
            "procedureCode": 23,
            "criticality": "ignore",
            "value": (
                "UEContextReleaseComplete",
                {"protocolIEs": [element(0, "MME-UE-S1AP-ID", 77), element(8, "ENB-UE-S1AP-ID", 5)]},
            ),
        },
    )
    assert tracker.feed(ranap.s1ap(aper("S1AP", released)), 1.0).gone == {UE}


def test_ngap_gives_the_end_and_the_flow_of_a_pdu_session() -> None:
    tunnel = ("gTPTunnel", {"transportLayerAddress": (0x0A010001, 32), "gTP-TEID": b"\0\0\0\x22"})
    flows = {"uPTransportLayerInformation": tunnel, "associatedQosFlowList": [{"qosFlowIdentifier": 9}]}
    transfer = ("PDUSessionResourceSetupResponseTransfer", {"dLQosFlowPerTNLInformation": flows})
    item = {"pDUSessionID": 1, "pDUSessionResourceSetupResponseTransfer": transfer}
    elements = [
        element(10, "AMF-UE-NGAP-ID", 9),
        element(85, "RAN-UE-NGAP-ID", 4),
        element(75, "PDUSessionResourceSetupListSURes", [item]),
    ]
    message = ("PDUSessionResourceSetupResponse", {"protocolIEs": elements})
    data = aper("NGAP", ("successfulOutcome", {"procedureCode": 29, "criticality": "reject", "value": message}))
    (fact,) = ranap.ngap(data)
    assert (fact.keys, fact.ran, fact.core, fact.qfi) == (("ngap:9:1",), End(RAN, 0x22), None, 9)


def test_what_is_begun_and_never_ends_is_forgotten() -> None:
    tracker = Tracker(SIDES)
    request, answer = pdp_context(5, up=0x11, down=0x22)
    tracker.feed(gtpc.facts(request), 0.0)
    tracker.feed([], PENDING_S + 1)
    assert told(tracker, *gtpc.facts(answer), now=PENDING_S + 1) == {}


READERS: list[Callable[[bytes], list[Fact]]] = [
    lambda data: gtpc.facts(Packet(RAN, CORE, data)),
    lambda data: reading.facts(Packet(RAN, CORE, data)),
]


@pytest.mark.parametrize("read", READERS, ids=["gtpc", "pfcp"])
@given(data=st.data())
def test_nonsense_says_nothing_and_harms_nobody(read: Callable[[bytes], list[Fact]], data: st.DataObject) -> None:
    samples = [packet.data for packet in (*pdp_context(5, 1, 2), *pfcp_session())]
    whole = bytearray(data.draw(st.sampled_from(samples)))
    for _ in range(data.draw(st.integers(0, 4))):
        whole[data.draw(st.integers(0, len(whole) - 1))] = data.draw(st.integers(0, 255))
    cut = bytes(whole[: data.draw(st.integers(0, len(whole)))])
    Tracker(SIDES).feed(read(cut), 0.0)


def test_bytes_that_are_no_s1ap_say_nothing() -> None:
    good = s1ap_setup(1, answer=False)
    for cut in range(0, len(good), 7):
        assert isinstance(ranap.s1ap(good[:cut] + b"\xff" + good[cut:]), list)
    assert ranap.s1ap(b"") == []


def test_messages_are_found_in_frames() -> None:
    request, _ = pdp_context(5, up=1, down=2)
    frame = Ether() / IP(src=RAN, dst=CORE) / UDP(sport=9999, dport=2123) / request.data
    (seen,) = snooping.messages(bytes(frame))
    assert (seen.port, seen.packet) == (2123, request)
    data = s1ap_setup(0x41, answer=False)
    chunk = SCTPChunkData(beginning=1, ending=1, proto_id=18, data=data)
    frame = Ether() / IP(src=RAN, dst=CORE) / SCTP(sport=36412, dport=40000) / SCTPChunkSACK() / chunk
    (seen,) = snooping.messages(bytes(frame))
    (fact,) = snooping.read(seen)
    assert fact.core == End(CORE, 0x41)
    assert list(snooping.messages(bytes(Ether() / IP() / UDP(sport=1, dport=2)))) == []
