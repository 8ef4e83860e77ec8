"""Time of the platform (MEC 011 7.2.5 and 7.2.6). The official file writes every attribute of TimingCaps as a list."""

from __future__ import annotations

from typing import Literal

from starlette.responses import Response

from skerry.api.route import Call, Endpoint
from skerry.mep import timing
from skerry.model.mec import Mec


class TimeStamp(Mec, frozen=True, kw_only=True):
    """timeStamp of TimingCaps (MEC 011 7.1.2.4)."""

    seconds: tuple[int, ...]
    nano_seconds: tuple[int, ...]


class NtpServers(Mec, frozen=True, kw_only=True):
    """ntpServers of TimingCaps (MEC 011 7.1.2.4); polling intervals as exponents of two of seconds."""

    ntp_server_addr_type: tuple[str, ...]
    ntp_server_addr: tuple[str, ...]
    min_polling_interval: tuple[int, ...]
    max_polling_interval: tuple[int, ...]
    local_priority: tuple[int, ...]
    authentication_option: tuple[str, ...]
    authentication_key_num: tuple[int, ...]


class PtpMasters(Mec, frozen=True, kw_only=True):
    """ptpMasters of TimingCaps (MEC 011 7.1.2.4)."""

    ptp_master_ip_address: tuple[str, ...]
    ptp_master_local_priority: tuple[int, ...]
    delay_req_max_rate: tuple[int, ...]


class TimingCaps(Mec, frozen=True, kw_only=True):
    """TimingCaps (MEC 011 7.1.2.4)."""

    time_stamp: tuple[TimeStamp, ...]
    ntp_servers: tuple[NtpServers, ...]
    ptp_masters: tuple[PtpMasters, ...]


class CurrentTime(Mec, frozen=True, kw_only=True):
    """CurrentTime (MEC 011 7.1.2.5)."""

    seconds: int
    nano_seconds: int
    time_source_status: Literal["TRACEABLE", "NONTRACEABLE"]


def _server(priority: int, server: timing.NtpServer) -> NtpServers:
    return NtpServers(
        ntp_server_addr_type=(server.address_type,),
        ntp_server_addr=(server.address,),
        min_polling_interval=(server.min_poll,),
        max_polling_interval=(server.max_poll,),
        local_priority=(0 if server.preferred else priority,),
        authentication_option=("SYMMETRIC_KEY" if server.key is not None else "NONE",),
        authentication_key_num=() if server.key is None else (server.key,),
    )


async def caps(call: Call) -> Response:
    """Where the time is from."""
    seconds, nanoseconds = timing.current()
    found = call.services.mep.timing()
    return call.show(
        TimingCaps(
            time_stamp=(TimeStamp(seconds=(seconds,), nano_seconds=(nanoseconds,)),),
            ntp_servers=tuple(_server(at, one) for at, one in enumerate(found.ntp, 1)),
            ptp_masters=tuple(
                PtpMasters(
                    ptp_master_ip_address=(one.address,),
                    ptp_master_local_priority=(at,),
                    delay_req_max_rate=(one.delay_req_rate,),
                )
                for at, one in enumerate(found.ptp, 1)
            ),
        )
    )


async def now(call: Call) -> Response:
    """The time, and whether the kernel has it from somewhere."""
    status: Literal["TRACEABLE", "NONTRACEABLE"] = "TRACEABLE" if timing.traceable() else "NONTRACEABLE"
    seconds, nanoseconds = timing.current()
    return call.show(CurrentTime(seconds=seconds, nano_seconds=nanoseconds, time_source_status=status))


ROUTES = (
    Endpoint("GET", "/timing/timing_caps", caps, "Read where the platform has its time from", answer=TimingCaps),
    Endpoint("GET", "/timing/current_time", now, "Read the platform's time", answer=CurrentTime),
)
