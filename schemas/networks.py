"""Networks that settings name, and whether an address is in one of them."""

from functools import lru_cache
from ipaddress import IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

Networks = tuple[IPv4Network | IPv6Network, ...]


@lru_cache(maxsize=16)
def networks(text: str) -> Networks:
    """Networks and single addresses, separated by commas. Raises `ValueError` for what is none."""
    return tuple(ip_network(part.strip()) for part in text.split(",") if part.strip())


def is_within(ip: str, among: Networks) -> bool:
    """Whether a canonical address (empty: there is none) is in one of the networks."""
    return bool(ip) and any(ip_address(ip) in network for network in among)


def seen_address(text: str) -> str:
    """The address of a socket's peer as one compares it: an IPv4 one that came by IPv6 is the IPv4 one."""
    found = ip_address(text.partition("%")[0])
    mapped = found.ipv4_mapped if isinstance(found, IPv6Address) else None
    return str(mapped or found)


LOOPBACK = networks("127.0.0.0/8, ::1")
