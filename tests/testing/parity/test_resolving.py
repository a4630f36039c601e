"""Names and addresses: getaddrinfo and getnameinfo."""

from __future__ import annotations

import socket
from typing import Any

import pytest
import trio
from trio.socket import getaddrinfo, getnameinfo

from .worlds import LOCALHOST, World, parity


def found(answer: Any) -> list[tuple[int, int, int, Any]]:
    """Family, type, protocol and address of each entry."""
    return [(family, kind, proto, address) for family, kind, proto, _, address in answer]


@parity
async def test_getaddrinfo_when_localhost_then_the_loopback_address(world: World) -> None:
    """Whatever else it stands for."""
    answer = await getaddrinfo("localhost", 80, type=socket.SOCK_STREAM)
    entry = (socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP, (LOCALHOST, 80))
    assert entry in found(answer)


@parity
async def test_getaddrinfo_when_numeric_then_that_address(world: World) -> None:
    """For each type of socket, and as enumerations."""
    answer = await getaddrinfo("192.0.2.5", 80)
    kinds = [(kind, address) for _, kind, _, address in found(answer)]
    assert kinds == [(kind, ("192.0.2.5", 80)) for kind in (1, 2, 3)]
    assert answer[0][0] is socket.AddressFamily.AF_INET
    assert answer[0][1] is socket.SocketKind.SOCK_STREAM


@parity
async def test_getaddrinfo_when_numeric_ipv6_then_four_parts(world: World) -> None:
    """With and without a known family."""
    for family in [socket.AF_UNSPEC, socket.AF_INET6]:
        answer = await getaddrinfo("2001:db8::1", 80, family, socket.SOCK_STREAM)
        assert found(answer) == [(socket.AF_INET6, 1, 6, ("2001:db8::1", 80, 0, 0))]


@pytest.mark.parametrize(("kind", "proto"), [(socket.SOCK_STREAM, 6), (socket.SOCK_DGRAM, 17)])
@parity
async def test_getaddrinfo_when_a_type_is_asked_for_then_only_that(
    world: World, kind: int, proto: int
) -> None:
    """With its protocol; asking for the protocol is the same."""
    expected = [(socket.AF_INET, kind, proto, (LOCALHOST, 7))]
    assert found(await getaddrinfo("localhost", 7, socket.AF_INET, kind)) == expected
    assert found(await getaddrinfo("localhost", 7, socket.AF_INET, 0, proto)) == expected


@parity
async def test_getaddrinfo_when_a_name_has_several_addresses_then_all_are_found(world: World) -> None:
    """In their order."""
    world.add_name("several.example", "192.0.2.1", "2001:db8::1", "192.0.2.2")
    answer = await getaddrinfo("several.example", 80, type=socket.SOCK_STREAM)
    assert [entry[3][0] for entry in found(answer)] == ["192.0.2.1", "2001:db8::1", "192.0.2.2"]


@parity
async def test_getaddrinfo_when_the_name_is_unknown_then_gaierror(world: World) -> None:
    """A resolver that can not be reached is another error."""
    with pytest.raises(socket.gaierror) as caught:
        await getaddrinfo("nobody.invalid", 80)
    assert caught.value.errno in (socket.EAI_NONAME, socket.EAI_AGAIN)


@pytest.mark.parametrize("flag", ["AI_NUMERICHOST", "AI_NUMERICSERV"])
@parity
async def test_getaddrinfo_when_names_are_not_allowed_then_eai_noname(world: World, flag: str) -> None:
    """Of hosts or of services."""
    host, port = ("localhost", 80) if flag == "AI_NUMERICHOST" else (LOCALHOST, "http")
    with pytest.raises(socket.gaierror) as caught:
        await getaddrinfo(host, port, flags=getattr(socket, flag))
    assert caught.value.errno == socket.EAI_NONAME


@parity
async def test_getaddrinfo_when_the_family_does_not_fit_then_an_error(world: World) -> None:
    """An IPv4 address is none of IPv6, unless it may be mapped."""
    with pytest.raises(socket.gaierror) as caught:
        await getaddrinfo(LOCALHOST, 80, socket.AF_INET6)
    assert caught.value.errno == -9  # EAI_ADDRFAMILY, which Python gives no name on every system
    answer = await getaddrinfo(LOCALHOST, 80, socket.AF_INET6, socket.SOCK_STREAM, flags=socket.AI_V4MAPPED)
    assert found(answer)[0][3][0] == "::ffff:127.0.0.1"


@pytest.mark.parametrize(("service", "port"), [("80", 80), (b"80", 80), (80, 80), (None, 0), (0, 0)])
@parity
async def test_getaddrinfo_when_the_service_is_a_number_then_that(
    world: World, service: Any, port: int
) -> None:
    """In text, in bytes, as a number, or missing."""
    answer = await getaddrinfo("localhost", service, socket.AF_INET, socket.SOCK_STREAM)
    assert found(answer)[0][3] == (LOCALHOST, port)


@parity
async def test_getaddrinfo_when_the_service_is_unknown_then_gaierror(world: World) -> None:
    """It stands in no list."""
    with pytest.raises(socket.gaierror) as caught:
        await getaddrinfo("localhost", "no such service")
    assert caught.value.errno in (socket.EAI_SERVICE, socket.EAI_NONAME)


@parity
async def test_getaddrinfo_when_there_is_no_host_then_loopback_or_wildcard(world: World) -> None:
    """To connect or, with AI_PASSIVE, to bind."""
    for flags, host in [(0, LOCALHOST), (socket.AI_PASSIVE, "0.0.0.0")]:
        answer = await getaddrinfo(None, 80, socket.AF_INET, socket.SOCK_STREAM, flags=flags)
        assert found(answer)[0][3] == (host, 80)


@parity
async def test_getaddrinfo_when_there_is_neither_host_nor_service_then_eai_noname(world: World) -> None:
    """Nothing was asked."""
    with pytest.raises(socket.gaierror) as caught:
        await getaddrinfo(None, None)
    assert caught.value.errno == socket.EAI_NONAME


@pytest.mark.parametrize("host", ["LOCALHOST", b"localhost", "LocalHost"])
@parity
async def test_getaddrinfo_when_the_name_is_written_otherwise_then_it_is_the_same(
    world: World, host: Any
) -> None:
    """Case does not matter, and bytes will do."""
    answer = await getaddrinfo(host, 80, socket.AF_INET, socket.SOCK_STREAM)
    assert found(answer)[0][3] == (LOCALHOST, 80)


@parity
async def test_getaddrinfo_when_a_canonical_name_is_asked_for_then_the_first_entry_has_it(
    world: World,
) -> None:
    """The others have none."""
    answer = await getaddrinfo("localhost", 80, socket.AF_INET, flags=socket.AI_CANONNAME)
    assert [entry[3] for entry in answer] == ["localhost", "", ""]


@parity
async def test_getnameinfo_when_numbers_are_wanted_then_numbers(world: World) -> None:
    """As text, both."""
    flags = socket.NI_NUMERICHOST | socket.NI_NUMERICSERV
    assert await getnameinfo((LOCALHOST, 80), flags) == (LOCALHOST, "80")
    assert await getnameinfo(("::1", 80), flags) == ("::1", "80")


@parity
async def test_getnameinfo_when_the_address_is_nobodys_then_the_number_or_an_error(world: World) -> None:
    """By NI_NAMEREQD."""
    assert (await getnameinfo(("192.0.2.99", 7), socket.NI_NUMERICSERV))[1] == "7"
    with pytest.raises(socket.gaierror) as caught:
        await getnameinfo(("192.0.2.99", 80), socket.NI_NAMEREQD)
    assert caught.value.errno in (socket.EAI_NONAME, socket.EAI_AGAIN)


@parity
async def test_getnameinfo_when_given_a_name_then_an_error(world: World) -> None:
    """It wants an address."""
    with pytest.raises(OSError):  # noqa: PT011  gaierror or plain, by the version of Python
        await getnameinfo(("localhost.invalid", 80), socket.NI_NUMERICHOST)


@parity
async def test_getaddrinfo_when_cancelled_then_it_ends(world: World) -> None:
    """Whoever asks does not wait for the answer then."""
    with trio.CancelScope() as scope:
        scope.cancel()
        await getaddrinfo("localhost", 80)
    assert scope.cancelled_caught
