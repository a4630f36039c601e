"""Packets sent from host to host without any socket, and what becomes of them."""

from __future__ import annotations

import trio

from trioserver.testing import Host, Network, Packet


class Traffic:
    """Sends packets, and notes when they arrive and which are lost."""

    def __init__(self, network: Network) -> None:
        self.network = network
        self.arrived: list[tuple[float, bytes]] = []
        self.lost: list[bytes] = []

    def send(self, data: bytes = b"", *, sender: str = "a", receiver: str = "b") -> Packet:
        """Send one packet now."""
        source, destination = self.network.host(sender), self.network.host(receiver)
        packet = Packet("udp", "DATAGRAM", address(source), address(destination), source, destination, data)
        self.network.wire.send(packet, self.arrive, self.lose)
        return packet

    def send_all(self, count: int, size: int = 1) -> list[bytes]:
        """Send so many at once; returns what they carry."""
        sent = [b"%d" % number + bytes(size) for number in range(count)]
        for data in sent:
            self.send(data)
        return sent

    def arrive(self, packet: Packet) -> None:
        """Note it."""
        self.arrived.append((round(trio.current_time(), 6), packet.data))

    def lose(self, packet: Packet) -> None:
        """Note it."""
        self.lost.append(packet.data)

    @property
    def times(self) -> list[float]:
        """When packets have arrived."""
        return [time for time, _ in self.arrived]

    @property
    def data(self) -> list[bytes]:
        """What they carried."""
        return [data for _, data in self.arrived]


def make_hosts(network: Network, *names: str) -> None:
    """Make hosts of these names."""
    for name in names:
        network.host(name)


def address(host: Host) -> tuple[str, int]:
    """An address on a host."""
    return host.addresses[0], 1000


def texts(network: Network, kind: str) -> list[str]:
    """The texts of the events of one kind."""
    return [event.text for event in network.log if event.kind == kind]
