"""Where we connect to on somebody's word."""

from ipaddress import ip_address, ip_network

import httpx
import pytest

from ioc.outbound.destination import Destinations, ForbiddenDestinationError, pin

PUBLIC = Destinations(public=True)


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1", "10.0.0.1", "172.16.3.4", "192.168.1.1", "169.254.169.254", "100.64.0.1", "0.0.0.0",
        "224.0.0.1", "255.255.255.255", "::1", "fe80::1", "fc00::1", "ff02::1", "::ffff:127.0.0.1",
        "::ffff:10.0.0.1", "64:ff9b::7f00:1", "2002:7f00:1::", "2001:0:4136:e378:8000:63bf:3fff:fdd2",
        "64:ff9b:1::7f00:1", "::ffff:0:10.0.0.1", "::10.0.0.1", "fec0::1",
    ],
)  # fmt: skip
def test_the_public_internet_holds_no_private_address_under_any_spelling(address: str) -> None:
    assert not PUBLIC.allows("x.example", ip_address(address), encrypted=True)


@pytest.mark.parametrize("address", ["8.8.8.8", "2606:4700::1111"])
def test_public_addresses_are_allowed_where_public_is(address: str) -> None:
    assert PUBLIC.allows("x.example", ip_address(address), encrypted=True)
    assert not PUBLIC.allows("x.example", ip_address(address), encrypted=False)
    assert not Destinations().allows("x.example", ip_address(address), encrypted=True)


def test_a_listed_network_is_allowed_even_inside() -> None:
    inside = Destinations(networks=(ip_network("10.1.0.0/16"),), public=True)
    assert inside.allows("x.example", ip_address("10.1.2.3"), encrypted=True)
    assert inside.allows("x.example", ip_address("::ffff:10.1.2.3"), encrypted=True)
    assert not inside.allows("x.example", ip_address("10.2.0.1"), encrypted=True)


async def test_the_checked_address_is_the_one_connected_to() -> None:
    async def resolve(_host: str, port: int) -> list[object]:
        assert port == 443
        return [ip_address("10.0.0.1"), ip_address("8.8.8.8")]

    url, extensions = await pin(httpx.URL("https://duty.example/in?a=1"), PUBLIC, resolve)  # type: ignore[arg-type]
    assert str(url) == "https://8.8.8.8/in?a=1"
    assert extensions == {"sni_hostname": "duty.example"}


@pytest.mark.parametrize("url", ["ftp://x.example/", "file:///etc/passwd", "https://"])
async def test_other_kinds_of_address_go_nowhere(url: str) -> None:
    async def resolve(_host: str, _port: int) -> list[object]:
        raise AssertionError("must not be asked")

    with pytest.raises(ForbiddenDestinationError):
        await pin(httpx.URL(url), PUBLIC, resolve)  # type: ignore[arg-type]
