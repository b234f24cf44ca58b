"""Where we may connect to on somebody's word: an address in a registry could name anything we can reach.

A host name is resolved once, the address is judged, and that very address is connected to, so that a name
cannot lead elsewhere a moment later. Redirects are never followed.
"""

import asyncio
import socket
from collections.abc import Awaitable, Callable, Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address

import httpx
import msgspec

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network
Resolve = Callable[[str, int], Awaitable[Sequence[Address]]]


class ForbiddenDestinationError(Exception):
    """The address is none we may connect to; the message says why, in words for an engineer."""


class Destinations(msgspec.Struct, frozen=True, kw_only=True):
    """Where connections may go."""

    networks: tuple[Network, ...] = ()
    """Allowed whatever they are, even this machine."""
    hosts: frozenset[str] = frozenset()
    """Names whose addresses are allowed unless they lead to ourselves or to everybody."""
    public: bool = False
    """Whether every address of the public Internet is allowed, over https."""

    def allows(self, host: str, address: Address, *, encrypted: bool) -> bool:
        """Return whether `address`, which `host` resolved to, may be connected to."""
        address = _unmapped(address)
        if any(address in network for network in self.networks):
            return True
        if self.public and encrypted and _is_public(address):
            return True
        return host.lower() in self.hosts and not _is_never_meant(address)


async def pin(url: httpx.URL, allowed: Destinations, resolve: Resolve) -> tuple[httpx.URL, dict[str, str]]:
    """Return `url` with the checked address as its host, and the extensions that keep TLS to the name.

    The request needs the header `Host: url.netloc`.

    Raises:
        ForbiddenDestinationError: neither http nor https, or no allowed address.
        OSError: the name does not resolve.
    """
    if url.scheme not in ("http", "https") or not url.host:
        raise ForbiddenDestinationError("only http and https addresses are possible")
    port = url.port or (443 if url.scheme == "https" else 80)
    for address in await resolve(url.host, port):
        if allowed.allows(url.host, address, encrypted=url.scheme == "https"):
            return url.copy_with(host=str(_unmapped(address))), {"sni_hostname": url.host}
    raise ForbiddenDestinationError(f"{url.host} is not among the hosts and networks that are allowed")


async def resolve_host(host: str, port: int) -> Sequence[Address]:
    """Return the addresses of `host`, in the system's order of preference.

    Raises:
        OSError: the name does not resolve.
    """
    loop = asyncio.get_running_loop()
    found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return [ip_address(entry[4][0]) for entry in found]


def _unmapped(address: Address) -> Address:
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
        return address.ipv4_mapped
    return address


def _is_public(address: Address) -> bool:
    if address.is_multicast or address.is_reserved or _wraps_another(address):
        return False
    # `is_global` counts the old private addresses of IPv6 (fec0::/10) as public.
    return address.is_global and not (isinstance(address, IPv6Address) and address.is_site_local)


def _wraps_another(address: Address) -> bool:
    """Return whether an IPv6 address stands for an IPv4 one that a gateway would connect to for us.

    Those of NAT64 and the older mappings (RFC 6052, 8215, 4291) lie in ranges that are reserved anyway.
    """
    if isinstance(address, IPv4Address):
        return False
    return address.sixtofour is not None or address.teredo is not None


def _is_never_meant(address: Address) -> bool:
    """This machine, cloud metadata, everybody: what a listed name must not lead to."""
    return (
        address.is_loopback
        or address.is_link_local
        or address.is_multicast
        or address.is_unspecified
        or address.is_reserved
    )
