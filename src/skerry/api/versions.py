"""`api_versions` resources (SOL013 clause 9.3.3): which versions of an API this node serves."""

from __future__ import annotations

from collections.abc import Sequence

from starlette.responses import Response

from skerry.api.route import Api, Call, Endpoint
from skerry.api.wire import Wire


class ApiVersion(Wire, frozen=True, kw_only=True):
    """One version."""

    version: str
    is_deprecated: bool | None = None


class ApiVersionInformation(Wire, frozen=True, kw_only=True):
    """ApiVersionInformation (SOL013 9.1.2)."""

    uri_prefix: str
    api_versions: tuple[ApiVersion, ...]


def endpoint(api: Api, majors: Sequence[int]) -> Endpoint:
    """The resource that tells the versions of `api` among `majors`."""

    async def versions(call: Call) -> Response:
        prefix = call.uri(f"/{api.name}/" if len(majors) > 1 else f"{api.root(majors[0])}/")
        told = tuple(ApiVersion(version=api.versions[major]) for major in majors)
        return call.show(ApiVersionInformation(uri_prefix=prefix, api_versions=told))

    return Endpoint("GET", "/api_versions", versions, "Versions of this API", answer=ApiVersionInformation)
