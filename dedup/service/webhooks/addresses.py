"""Where webhooks may go: hosts by name before they are resolved, addresses after that.

A name that is allowed may lead anywhere, and to another place at the next look. So the address that
was checked is the one that is connected to, and nothing follows a redirect.
"""

import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

from dedup.errors import DedupError
from dedup.service.settings import Target, WebhookSettings

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network

MAX_URL: Final = 2_000  # characters

_NAT64: Final = ipaddress.IPv6Network("64:ff9b::/96")
_OLD_MAPPED: Final = ipaddress.IPv6Network("::/96")  # IPv4-compatible, deprecated


class RefusedError(DedupError):
    """A webhook must not go there, now or ever: it is not tried again."""


@dataclass(frozen=True, slots=True)
class Place:
    """A target, taken apart and allowed as far as its name goes."""

    scheme: str
    host: str
    port: int
    path: str  # with the query
    keys: tuple[bytes, ...]
    private: tuple[Network, ...]  # networks that it may be in, though they are not global

    @property
    def authority(self) -> str:
        """For the header `Host`."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        usual = {"https": 443, "http": 80}[self.scheme]
        return host if self.port == usual else f"{host}:{self.port}"


def place_of(url: str, settings: WebhookSettings) -> Place:
    """Raises `RefusedError` for a target that is neither the operator's nor on a listed host."""
    for target in settings.targets:
        if target.url == url:
            return _of_operator(target, settings)
    return _of_client(url, settings)


def check(place: Place, addresses: Sequence[str]) -> str:
    """The address to connect to; raises `RefusedError` where any of them is not allowed.

    All are checked: a name with one good and one bad address is up to no good.
    """
    if not addresses:
        message = f"{place.host!r} has no address"
        raise RefusedError(message)

    for text in addresses:
        address = ipaddress.ip_address(text.partition("%")[0])
        if any(address in network for network in place.private):
            continue
        if place.scheme != "https" or not is_global(address):
            message = f"{place.host!r} leads to {text}, where webhooks may not go"
            raise RefusedError(message)

    return addresses[0]


def is_global(address: Address) -> bool:
    """Whether an address, and any that it stands for, is one of the public internet.

    >>> [is_global(ipaddress.ip_address(a)) for a in ("9.9.9.9", "::ffff:10.0.0.1", "fec0::1")]
    [True, False, False]
    """
    inner = _inner(address)
    if inner is not None:
        return is_global(inner)

    never = (
        address.is_multicast
        or address.is_unspecified
        or address.is_loopback
        or address.is_link_local
        or address.is_private
        or address.is_reserved
        or (isinstance(address, ipaddress.IPv6Address) and address.is_site_local)
    )

    return address.is_global and not never


def _inner(address: Address) -> ipaddress.IPv4Address | None:
    """The IPv4 address that one of IPv6 stands for, by any of the ways there are."""
    if isinstance(address, ipaddress.IPv4Address):
        return None
    if address.teredo is not None:
        return address.teredo[1]

    found = address.ipv4_mapped or address.sixtofour
    if found is None and (address in _NAT64 or address in _OLD_MAPPED):
        found = ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)

    return found


def _of_operator(target: Target, settings: WebhookSettings) -> Place:
    private = tuple(ipaddress.ip_network(text) for text in settings.allow_private)
    return _taken_apart(target.url, tuple(target.keys()), private)


def _of_client(url: str, settings: WebhookSettings) -> Place:
    place = _taken_apart(url, _keys_of_hosts(settings), ())
    if place.scheme != "https":
        message = "a notification_url begins with https://"
        raise RefusedError(message)

    if place.authority.lower() not in {_normal(host) for host in settings.hosts}:
        message = f"{place.authority!r} is not on the operator's list of hosts (webhooks.hosts)"
        raise RefusedError(message)

    return place


def _keys_of_hosts(settings: WebhookSettings) -> tuple[bytes, ...]:
    if settings.hosts_secret is None:
        return ()
    return tuple(Target(url="https://hosts", secret=settings.hosts_secret).keys())


def _taken_apart(url: str, keys: tuple[bytes, ...], private: tuple[Network, ...]) -> Place:
    if len(url) > MAX_URL or not url.isascii() or any(c <= " " or c in '\\"<>\x7f' for c in url):
        message = f"an address has at most {MAX_URL:,} characters of plain ASCII, without spaces"
        raise RefusedError(message)

    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        message = f"{url!r} is not an address: {error}"
        raise RefusedError(message) from error

    if parts.scheme not in {"http", "https"} or not parts.hostname:
        message = f"{url!r} is not an address such as https://example.org/hook"
        raise RefusedError(message)

    if "@" in parts.netloc or parts.fragment:
        message = "an address has no user, password or fragment"
        raise RefusedError(message)

    port = port or {"https": 443, "http": 80}[parts.scheme]
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")

    return Place(parts.scheme, parts.hostname.rstrip("."), port, path, keys, private)


def _normal(host: str) -> str:
    return host.lower().rstrip(".").removesuffix(":443")
