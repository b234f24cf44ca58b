"""Network addresses as places that somebody asks from."""

from ipaddress import IPv6Address, ip_address


def place_of(address: str) -> str:
    """Return what is counted as one place: an address, of IPv6 the network that one subscriber gets."""
    try:
        found = ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if not isinstance(found, IPv6Address):
        return str(found)
    return str(found.ipv4_mapped or f"{IPv6Address(int(found) >> 64 << 64)}/64")
