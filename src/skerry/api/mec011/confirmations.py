"""Confirmations of applications (MEC 011 7.2.11 and 7.2.12)."""

from __future__ import annotations

from typing import Literal

from starlette.responses import Response

from skerry.api.mec011.calls import app_of, strict
from skerry.api.route import Call, Endpoint
from skerry.model.mec import Mec, OperationAction


class AppReadyConfirmation(Mec, frozen=True, kw_only=True):
    """AppReadyConfirmation (MEC 011 7.1.4.4)."""

    indication: Literal["READY"]


class AppTerminationConfirmation(Mec, frozen=True, kw_only=True):
    """AppTerminationConfirmation (MEC 011 7.1.4.3)."""

    operation_action: OperationAction


async def ready(call: Call) -> Response:
    """The application is up and running."""
    app = app_of(call)
    await call.body(AppReadyConfirmation)
    await call.services.mep.apps.confirm_ready(app)
    return call.done()


async def termination(call: Call) -> Response:
    """The application has done what it had to do before its end."""
    app = app_of(call)
    asked = await call.body(AppTerminationConfirmation)
    await call.services.mep.apps.confirm_end(app, asked.operation_action)
    return call.done()


ROUTES = (
    Endpoint(
        "POST",
        "/applications/{appInstanceId}/confirm_ready",
        strict(ready),
        "Confirm that the application is up and running",
        AppReadyConfirmation,
        status=204,
    ),
    Endpoint(
        "POST",
        "/applications/{appInstanceId}/confirm_termination",
        strict(termination),
        "Confirm a stop or termination that was announced",
        AppTerminationConfirmation,
        status=204,
    ),
)
