"""How a resource is declared (`Endpoint`, `Api`) and what its handler gets (`Call`).

A handler decodes, calls one service, encodes: `async def show(call: Call) -> Response`. Method, media types, body type,
answer and status are data of the endpoint, from which the OpenAPI document is made.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import cached_property, lru_cache
from typing import Any, NamedTuple, TypeVar

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from skerry.access.roles import Principal
from skerry.api import body, filters, paging, rights, shapes
from skerry.api.problem import HttpError
from skerry.api.services import Services
from skerry.errors import MalformedError
from skerry.model.queries import Condition, Place

T = TypeVar("T")
Item = TypeVar("Item", bound=paging.Ordered)

JSON = "application/json"
MERGE_PATCH = "application/merge-patch+json"
VERSION = re.compile(r"(\d{1,9})(?:\.(\d{1,9})(?:\.\d{1,9})?)?(?:-impl:.{1,200})?")
"""A version identifier (SOL013 9.1.2), whole or from the left as far as it is known."""
ZERO = re.compile(r"0(\.0{0,3})?")
ARCHIVES = ("application/zip", "application/x-zip-compressed", "application/octet-stream", "application/binary")
"""Media types of a package: SOL005 says zip, its official OpenAPI file says binary, many clients say octet-stream."""


class Query(NamedTuple):
    """One query parameter, for the OpenAPI document."""

    name: str
    text: str


LIST_QUERY = (
    Query("filter", "Attribute filter (SOL013 5.2), such as `(eq,name,sip);(gt,size,10)`."),
    Query("all_fields", "Show every attribute."),
    Query("fields", "Show only these attributes, separated by commas."),
    Query("exclude_fields", "Leave these attributes out."),
    Query("exclude_default", "Leave the large attributes out (this is the default)."),
    Query(paging.MARKER, "Where the next page starts, from the Link header of the last one."),
)


class Call:
    """One request: who calls, what is asked, and the services that can do it."""

    def __init__(self, request: Request, services: Services, endpoint: Endpoint, root: str) -> None:
        self.request = request
        self.services = services
        self.endpoint = endpoint
        self.root = root
        self.principal: Principal = request.scope["skerry.principal"]
        self.unique_names = False
        """Whether a body that has a name twice in a map is refused."""

    @property
    def tenant(self) -> str:
        """Whose resources the caller sees."""
        return self.principal.tenant

    @property
    def version(self) -> int:
        """Major version of the API that is called."""
        return int(self.root.rpartition("/v")[2])

    def path(self, name: str) -> str:
        """A variable part of the path."""
        return str(self.request.path_params[name])

    def query(self, name: str, default: str = "") -> str:
        """A query parameter."""
        return self.request.query_params.get(name, default)

    def prefers(self, media: str) -> bool:
        """Whether the caller names this media type among those that it takes."""
        return media in self.request.headers.get("accept", "").lower()

    def flag(self, name: str) -> bool:
        """A query parameter that is on when it is given, unless it says false."""
        return self.query(name, "false").lower() not in ("false", "0", "no")

    async def json(self) -> Any:
        """The body as plain JSON values."""
        return body.parse(await self._raw())

    async def body(self, kind: type[T]) -> T:
        """The body as a struct; every fault of it at once."""
        return body.decode(await self._raw(), kind)

    async def _raw(self) -> bytes:
        raw = await body.read(self.request, self.services.settings.max_body_bytes)
        if self.unique_names:
            body.require_unique(raw)
        return raw

    def href(self, path: str) -> str:
        """The absolute URI of a path below the root of the API that is called."""
        return f"{self._node}{self.root}{path}"

    def uri(self, path: str) -> str:
        """The absolute URI of a path below the root of the node."""
        return f"{self._node}{path}"

    @cached_property
    def _node(self) -> str:
        """The root of the node as the caller sees it."""
        scope = self.request.scope
        host = next((value for name, value in scope["headers"] if name == b"host"), None)
        return _seen_at(scope["scheme"], scope.get("server"), host, scope.get("root_path", ""))

    @property
    def match(self) -> frozenset[int] | None:
        """The revisions of `If-Match`, for the service to compare inside its transaction; None where any will do. Weak tags
        name none (RFC 9110 13.1.1)."""
        wanted = ",".join(self.request.headers.getlist("if-match")).strip() or "*"
        return None if wanted == "*" else frozenset(_revision(tag) for tag in wanted.split(","))

    def show(self, value: Any, *, rev: int | None = None, status: int = 200, location: str = "") -> Response:
        """One value as JSON, with its ETag and Location; 304 without it where the caller has what is there."""
        headers = {"ETag": etag(rev)} if rev is not None else {}
        if rev is not None and self.request.method in ("GET", "HEAD") and self._has(rev):
            return Response(status_code=304, headers=headers)
        if location:
            headers["Location"] = location
        return Response(msgspec.json.encode(value), status, headers, media_type=JSON)

    def _has(self, rev: int) -> bool:
        """Whether `If-None-Match` names the revision (RFC 9110 13.1.2)."""
        known = self.request.headers.get("if-none-match", "").strip()
        return known == "*" or (known != "" and rev in {_revision(tag.replace("W/", "")) for tag in known.split(",")})

    def terms(self) -> tuple[filters.Term, ...]:
        """What the attribute filter of the query asks for. `MalformedError` for what may be given once and is given twice."""
        given = [name for name, _ in self.request.query_params.multi_items()]
        for query in LIST_QUERY:
            if given.count(query.name) > 1:
                raise MalformedError(
                    f"cannot use {query.name} twice",
                    suggestion="write it once; terms of a filter follow each other: (…);(…)",
                )
        return filters.parse(self.query("filter"))

    @property
    def _shape(self) -> shapes.Shape | None:
        """What the entries of the list have."""
        return shapes.shape_of(self.endpoint.answer)

    def listed(self, items: Sequence[Item], render: Callable[[Item], Any], hide: Sequence[str] = ()) -> Response:
        """A list, filtered, cut into pages and reduced to the attributes that the query selects."""
        terms = self.terms()
        chosen = filters.selection(self.request.query_params, hide)
        rendered = {item.id: msgspec.to_builtins(render(item)) for item in items} if terms else {}
        hits = [item for item in items if not terms or filters.matches(rendered[item.id], terms)]
        shown, marker = paging.page(hits, self.query(paging.MARKER), self.services.settings.page_size)
        plain = (rendered.get(item.id) or msgspec.to_builtins(render(item)) for item in shown)
        headers = {"Link": paging.link(str(self.request.url), marker)} if marker else {}
        return Response(
            msgspec.json.encode([filters.select(value, chosen, self._shape) for value in plain]),
            200,
            headers,
            media_type=JSON,
        )

    async def paged(
        self,
        fetch: Callable[[Place, int, Sequence[Condition]], tuple[Sequence[Item], Place | None]],
        render: Callable[[Item], Any],
        hide: Sequence[str],
        columns: Mapping[str, str],
    ) -> Response:
        """`listed` for long lists: `fetch` reads a part of it and says where the next begins. Of the filter, the store looks
        at attributes that have `columns`; what remains is looked at here, a part at a time, so that others have their
        turn."""
        terms = self.terms()
        chosen = filters.selection(self.request.query_params, hide)
        conditions = filters.conditions(terms, columns)
        rest = len(conditions) < len(terms)
        size = self.services.settings.page_size
        place: Place | None = paging.after(self.query(paging.MARKER))
        shown = list[tuple[Item, Any]]()
        while place is not None and len(shown) <= size:
            items, place = fetch(place, size + 1, conditions)
            for item in items:
                plain = msgspec.to_builtins(render(item))
                if not rest or filters.matches(plain, terms):
                    shown.append((item, plain))
                if len(shown) > size:
                    break
            await asyncio.sleep(0)
        headers = (
            {"Link": paging.link(str(self.request.url), paging.marker_of(shown[size - 1][0]))}
            if len(shown) > size
            else {}
        )
        entries = [filters.select(plain, chosen, self._shape) for _, plain in shown[:size]]
        return Response(msgspec.json.encode(entries), 200, headers, media_type=JSON)

    def accepted(self, location: str) -> Response:
        """202 with the place where the outcome will be; the body is empty."""
        return Response(b"", 202, {"Location": location})

    def done(self) -> Response:
        """204: done, nothing to say."""
        return Response(status_code=204)


def etag(rev: int) -> str:
    """The entity tag of a revision."""
    return f'"{rev}"'


def _revision(tag: str) -> int:
    """The revision of a strong entity tag; one that no resource has for a tag that is not ours."""
    plain = tag.strip()
    digits = plain[1:-1] if len(plain) > 2 and plain[0] == plain[-1] == '"' else ""
    return int(digits) if digits.isascii() and digits.isdigit() and len(digits) < 19 else -1


@lru_cache(maxsize=64)
def _seen_at(scheme: str, server: tuple[str, int | None] | None, host: bytes | None, root: str) -> str:
    """The root of the node for a caller who asked for `host`; worked out once for each of the few names of a node."""
    headers = [] if host is None else [(b"host", host)]
    scope = {"type": "http", "scheme": scheme, "server": server, "root_path": root, "path": "/", "headers": headers}
    return str(Request({**scope, "query_string": b""}).base_url).rstrip("/")


Handler = Callable[[Call], Awaitable[Response]]


class Endpoint(NamedTuple):
    """One method of one resource. `since` is the first major version that has it, `until` the last."""

    method: str
    path: str
    handler: Handler
    summary: str
    body: Any = None
    answer: Any = None
    status: int = 200
    accepts: tuple[str, ...] = (JSON,)
    produces: tuple[str, ...] = (JSON,)
    query: tuple[Query, ...] = ()
    since: int = 1
    until: int = 99


class Api(NamedTuple):
    """One specification's API: its name in URIs, the full version of each major version, its endpoints. `within` is another
    apiRoot below which it is too."""

    name: str
    title: str
    versions: Mapping[int, str]
    endpoints: tuple[Endpoint, ...]
    within: str = ""

    def root(self, major: int) -> str:
        """Path below which a major version lives."""
        return f"/{self.name}/v{major}"

    def served(self, major: int) -> tuple[Endpoint, ...]:
        """The endpoints that a major version has."""
        return tuple(endpoint for endpoint in self.endpoints if endpoint.since <= major <= endpoint.until)


class Resource:
    """The ASGI application of one path: picks the method, checks media types, runs the handler."""

    def __init__(self, services: Services, root: str, version: str, endpoints: Sequence[Endpoint]) -> None:
        self._services = services
        self._root = root
        self._version = version
        self._told = [(b"version", version.encode())] if version else []
        self._methods = {endpoint.method: endpoint for endpoint in endpoints}
        if "GET" in self._methods:
            self._methods.setdefault("HEAD", self._methods["GET"])
        self._rights = {method: rights.of(root, method, endpoint.path) for method, endpoint in self._methods.items()}

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Answer one request."""
        request = Request(scope, receive)
        scope["skerry.version"] = self._version
        endpoint = self._methods.get(request.method)
        if endpoint is None:
            raise self._not_allowed(request.method)
        rights.check(scope["skerry.principal"], self._root, endpoint.path, self._rights[request.method])
        headers = dict(reversed(scope["headers"]))  # of those that come twice, the first counts
        check_version(headers, self._version)
        check_media(request.method, headers, endpoint)
        response = await endpoint.handler(Call(request, self._services, endpoint, self._root))
        response.raw_headers += self._told
        await response(scope, receive, send)

    def _not_allowed(self, method: str) -> HttpError:
        allowed = ", ".join(sorted(self._methods))
        return HttpError(
            405, f"cannot {method} this resource", suggestion=f"use one of {allowed}", headers={"Allow": allowed}
        )


Headers = Mapping[bytes, bytes]


def _said(headers: Headers, name: bytes, default: str = "") -> str:
    found = headers.get(name)
    return default if found is None else found.decode("latin-1")


def check_version(headers: Headers, served: str) -> None:
    """Refuse a `Version` header that asks for more than is served (SOL013 9.4): of the same major version, a lower minor
    version is served by a higher one, and patches change no interface. A missing one means the URI's."""
    wanted = _said(headers, b"version")
    if served and wanted and not _within(wanted, served):
        raise HttpError(
            406,
            f"cannot serve version {wanted[:20]} here",
            suggestion=f"this URI serves {served}; GET api_versions lists all of them",
        )


def _within(wanted: str, served: str) -> bool:
    """Whether whoever speaks one version understands what serves another."""
    asked, there = VERSION.fullmatch(wanted.strip()), VERSION.match(served)
    if asked is None or there is None:
        return False
    return asked[1] == there[1] and int(asked[2] or 0) <= int(there[2] or 0)


def check_media(method: str, headers: Headers, endpoint: Endpoint) -> None:
    """406 for an answer that the caller does not take, 415 for a body of another type."""
    accepted = _said(headers, b"accept", "*/*")
    if accepted != "*/*" and not any(_acceptable(accepted, media) for media in endpoint.produces):
        raise HttpError(406, f"cannot answer as {accepted[:80]}", suggestion=f"accept {' or '.join(endpoint.produces)}")
    if method not in ("POST", "PUT", "PATCH") or endpoint.body is None:
        return
    given = _said(headers, b"content-type").partition(";")[0].strip().lower()
    allowed = (*endpoint.accepts, MERGE_PATCH) if method == "PATCH" else endpoint.accepts
    if given not in allowed and not (given == "" and _said(headers, b"content-length", "0") == "0"):
        raise HttpError(
            415, f"cannot read a body of type {given or 'unknown'}", suggestion=f"send {' or '.join(allowed)}"
        )


def _acceptable(accepted: str, media: str) -> bool:
    """Whether an `Accept` header takes a media type: of the ranges that fit it, the most specific decides (RFC 9110
    12.5.1)."""
    found: dict[int, bool] = {}
    for part in accepted.lower().split(","):
        wanted, *parameters = (piece.strip() for piece in part.split(";"))
        rank = _rank(wanted, media)
        if rank:
            found[rank] = found.get(rank, False) or not any(map(_forbids, parameters))
    return found[max(found)] if found else False


def _rank(wanted: str, media: str) -> int:
    """How specific a range that fits a media type is; 0 where it does not fit. Whoever takes problem details, or says nothing,
    takes all."""
    if wanted == media:
        return 3
    if wanted.endswith("/*") and media.startswith(wanted[:-1]):
        return 2
    return 1 if wanted in ("*/*", "", "application/problem+json") or media == "*/*" else 0


def _forbids(parameter: str) -> bool:
    """Whether a parameter is a weight of 0."""
    name, _, weight = parameter.partition("=")
    return name.strip() == "q" and ZERO.fullmatch(weight.strip()) is not None
