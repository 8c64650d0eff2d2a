"""What a request asks for: the verb, the kind and the object that its path names. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import parse_qsl, unquote, urlsplit

from mlops_assets_tests.kubernetes.kinds import Kind
from mlops_assets_tests.kubernetes.refusal import Refusal

_VERBS = {"POST": "create", "PUT": "update", "PATCH": "patch", "DELETE": "delete"}
_TRUE = ("true", "True", "1")


@dataclass(frozen=True, slots=True)
class Request:
    """One call of the API.

    Attributes:
        verb: As roles name it: get, list, watch, create, update, patch, delete.
        kind: What it is about.
        namespace: Where; empty for all, or for kinds without one.
        name: Which; empty for all.
        subresource: status, log, proxy, or nothing.
        rest: What follows the subresource in the path (proxy).
        query: Arguments.
    """

    verb: str
    kind: Kind
    namespace: str
    name: str
    subresource: str
    rest: str
    query: Mapping[str, str]

    @property
    def resource(self) -> str:
        """As roles name it: `pods/log`."""
        return f"{self.kind.plural}/{self.subresource}" if self.subresource else self.kind.plural

    def is_set(self, argument: str) -> bool:
        """Whether a boolean argument is true."""
        return self.query.get(argument) in _TRUE


def read_request(method: str, target: str, kinds: Mapping[tuple[str, str, str], Kind]) -> Request:
    """The call that a path asks for; refuses with 404 when there is no such thing."""
    url = urlsplit(target)
    parts = [unquote(part) for part in url.path.strip("/").split("/")]
    query = dict(parse_qsl(url.query, keep_blank_values=True))
    if parts[:2] == ["api", "v1"]:
        group, version, parts = "", "v1", parts[2:]
    elif parts[0] == "apis" and len(parts) > 3:
        group, version, parts = parts[1], parts[2], parts[3:]
    else:
        raise _nothing()
    namespace = ""
    if parts[0] == "namespaces" and len(parts) > 2 and parts[2] != "status":
        namespace, parts = parts[1], parts[2:]
    plural, name, subresource, rest = (*parts[:3], *[""] * (3 - len(parts[:3])), parts[3:])
    kind = kinds.get((group, version, plural))
    if kind is None or (subresource and subresource not in (*kind.subresources, "proxy")):
        raise _nothing()
    if name.split(":")[0] and kind.namespaced and not namespace:
        raise _nothing()
    watches = query.get("watch") in _TRUE
    reading = "get" if name else "watch" if watches else "list"
    verb = reading if method == "GET" else _VERBS[method]
    if (verb == "create") == bool(name) and subresource != "proxy" and verb not in _READS:
        raise Refusal(405, "the server does not allow this method on the requested resource")
    return Request(verb, kind, namespace, name, subresource, "/".join(rest), query)


_READS = ("get", "list", "watch")


def _nothing() -> Refusal:
    return Refusal(404, "the server could not find the requested resource")
