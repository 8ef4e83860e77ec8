"""The part of the client that measures."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from skerry.client.http import Http
from skerry.client.views import IndicatorView, JobView, MeasuredView, ThresholdView
from skerry.model.performance import Usage

OWN = "/skerry/v1"
HOME = f"{OWN}/performance"


class Measuring:
    """PM jobs, thresholds, what is used now, and indicators."""

    def __init__(self, http: Http) -> None:
        self._http = http

    def usage(self) -> list[Usage]:
        """What every VNFC used by now."""
        return self._http.every(f"{HOME}/usage", Usage)

    def jobs(self) -> list[JobView]:
        """PM jobs of VNFs and NSs."""
        return self._http.every(f"{HOME}/jobs", JobView)

    def create_job(self, request: Mapping[str, Any]) -> JobView:
        """Measure from now on."""
        return msgspec.json.decode(self._http.post(f"{HOME}/jobs", request).content, type=JobView)

    def delete_job(self, id: str) -> None:
        """Measure no more."""
        self._http.send("DELETE", f"{HOME}/jobs/{id}")

    def values(self, job: str) -> list[MeasuredView]:
        """What a job measured, oldest first."""
        return self._http.get(f"{HOME}/jobs/{job}/values", list[MeasuredView])

    def thresholds(self) -> list[ThresholdView]:
        """Thresholds of VNFs and NSs."""
        return self._http.every(f"{HOME}/thresholds", ThresholdView)

    def create_threshold(self, request: Mapping[str, Any]) -> ThresholdView:
        """Compare from now on."""
        return msgspec.json.decode(self._http.post(f"{HOME}/thresholds", request).content, type=ThresholdView)

    def indicators(self, vnf: str = "") -> list[IndicatorView]:
        """Indicators of all VNFs or of one."""
        return self._http.every(f"{OWN}/indicators", IndicatorView, vnf=vnf)

    def tell(self, vnf: str, indicator: str, value: Any) -> IndicatorView:
        """Tell the value of an indicator."""
        body = msgspec.json.encode({"value": value})
        headers = {"Content-Type": "application/json"}
        answer = self._http.send("PUT", f"{OWN}/vnfs/{vnf}/indicators/{indicator}", content=body, headers=headers)
        return msgspec.json.decode(answer.content, type=IndicatorView)

    def delete_threshold(self, id: str) -> None:
        """Compare no more."""
        self._http.send("DELETE", f"{HOME}/thresholds/{id}")
