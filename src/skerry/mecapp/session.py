"""Requests to a platform with the token that it wants, fetched and renewed as needed."""

from __future__ import annotations

import asyncio
import ssl
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import httpx

from skerry.errors import SkerryError

TIMEOUT_S = 90.0
RENEW_S = 30.0
UNIX = "unix:"


class PlatformError(SkerryError):
    """The platform refused a request, or does not answer (then `status` is 0)."""

    def __init__(self, status: int, detail: str, *, suggestion: str = "") -> None:
        super().__init__(detail, suggestion=suggestion)
        self.status = status


class Session:
    """`endpoint` is the platform's root, such as `https://10.0.0.1:8443`, or `unix:/path/of/socket`. Either a token is
    given, or credentials for the token endpoint (default: the platform's own), or nothing."""

    def __init__(
        self,
        endpoint: str,
        *,
        token: str = "",
        client_id: str = "",
        client_secret: str = "",
        token_endpoint: str = "",
        ca: str = "",
    ) -> None:
        local = endpoint.startswith(UNIX)
        self.endpoint = "http://platform" if local else endpoint.rstrip("/")
        self.tls = ssl.create_default_context(cafile=ca or None) if endpoint.startswith("https") else None
        transport = httpx.AsyncHTTPTransport(uds=endpoint.removeprefix(UNIX)) if local else None
        self._http = httpx.AsyncClient(
            base_url=self.endpoint,
            timeout=httpx.Timeout(TIMEOUT_S, connect=5.0),
            transport=transport,
            verify=self.tls or True,
            trust_env=False,
        )
        self._token = token
        self._until = float("inf") if token else 0.0
        self._who = (client_id, client_secret)
        self._tokens = token_endpoint or f"{self.endpoint}/oauth2/token"
        self._renewing = asyncio.Lock()

    @classmethod
    def of(cls, environment: Mapping[str, str]) -> Session:
        """As the orchestrator tells its applications: `MEC_MP1_ENDPOINT`, `MEC_CLIENT_ID`, `MEC_CLIENT_SECRET`,
        `MEC_TOKEN_ENDPOINT`; and `MEC_CA`, a PEM file, where the platform's authority is not one of the system's."""
        endpoint = environment.get("MEC_MP1_ENDPOINT", "")
        if not endpoint:
            raise PlatformError(
                0,
                "cannot find the platform: MEC_MP1_ENDPOINT is not set",
                suggestion="the orchestrator sets it where a platform can be reached; by hand, set it to the platform's root",
            )
        ca = environment.get("MEC_CA", "")
        return cls(
            endpoint,
            client_id=environment.get("MEC_CLIENT_ID", ""),
            client_secret=environment.get("MEC_CLIENT_SECRET", ""),
            token_endpoint=environment.get("MEC_TOKEN_ENDPOINT", ""),
            ca=ca if ca and Path(ca).exists() else "",
        )

    async def close(self) -> None:
        """Let go of connections."""
        await self._http.aclose()

    def use(self, client_id: str, client_secret: str) -> None:
        """From now on call with these credentials."""
        self._who = (client_id, client_secret)
        self._token, self._until = "", 0.0

    async def call(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        headers: Mapping[str, str] | None = None,
        query: Mapping[str, str] | None = None,
    ) -> httpx.Response:
        """One request; with a new token if the one that was used does not count any more. `PlatformError` for refusals."""
        response = await self._send(method, path, body, headers, query)
        if response.status_code == 401 and self._who[1]:
            self._until = 0.0
            response = await self._send(method, path, body, headers, query)
        if response.is_success:
            return response
        raise _refusal(response)

    async def authorization(self) -> dict[str, str]:
        """The header that says who calls."""
        if not self._token and not self._who[1]:
            return {}
        async with self._renewing:
            if time.monotonic() > self._until - RENEW_S and self._who[1]:
                await self._renew()
        return {"Authorization": f"Bearer {self._token}"}

    async def _send(
        self, method: str, path: str, body: Any, headers: Mapping[str, str] | None, query: Mapping[str, str] | None
    ) -> httpx.Response:
        told = {**await self.authorization(), **(headers or {})}
        try:
            return await self._http.request(method, path, json=body, headers=told, params=query)
        except httpx.HTTPError as error:
            raise _silent(error) from error

    async def _renew(self) -> None:
        try:
            response = await self._http.post(
                self._tokens, data={"grant_type": "client_credentials"}, auth=httpx.BasicAuth(*self._who)
            )
        except httpx.HTTPError as error:
            raise _silent(error) from error
        if not response.is_success:
            raise PlatformError(response.status_code, "cannot get a token: the platform refuses these credentials")
        told = response.json()
        self._token = str(told["access_token"])
        self._until = time.monotonic() + float(told.get("expires_in", 60))


def _silent(error: httpx.HTTPError) -> PlatformError:
    return PlatformError(0, f"cannot reach the platform: {error or type(error).__name__}", suggestion="is it running?")


def _refusal(response: httpx.Response) -> PlatformError:
    try:
        told = response.json()
    except ValueError:
        told = {}
    detail = told.get("detail") if isinstance(told, dict) else None
    suggestion = told.get("suggestion", "") if isinstance(told, dict) else ""
    status = response.status_code
    return PlatformError(status, str(detail or f"the platform answers {status}"), suggestion=str(suggestion))
