"""Internet addresses: one spelling each, and the network that limits, logins and the fraud features count by."""

from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address, ip_network

from gateway.return_urls import allows_loopback
from schemas.settings import ProfileName

TRANSLATED = IPv6Network("64:ff9b::/96")  # what a translator makes of an IPv4 client (RFC 6052 §2.1)
NEIGHBOURS_BITS = 24  # the longest IPv4 prefix that is routed between networks
SUBSCRIBER_BITS = 64  # of an IPv6 address the rest is its holder's to choose (RFC 4291 §2.5.1, RFC 6177 §2)


def canonical(text: str) -> str | None:
    """An address in its one spelling (RFC 5952 §4); None for what is none.

    An IPv4 address inside an IPv6 one is the IPv4 one: mapped (RFC 4291 §2.5.5.2), translated, 6to4 (RFC 3056). A
    zone (`%eth0`) goes: it has a meaning on one machine alone.
    """
    try:
        address = ip_address(text)
    except ValueError:
        return None
    if isinstance(address, IPv6Address):
        return str(_embedded(address) or IPv6Address(int(address)))
    return str(address)


def network_of(text: str) -> str:
    """Whose address it is, as far as anybody can tell: an IPv4 address itself, of IPv6 the /64.

    Empty for what is no address: all who come without one are one.
    """
    found = canonical(text)
    if found is None or ":" not in found:
        return found or ""
    return str(IPv6Network((found, SUBSCRIBER_BITS), strict=False))


def neighbours_of(ip: str) -> str:
    """The network that a canonical address shares with those beside it: an IPv4 address's /24, of IPv6 the /64."""
    bits = SUBSCRIBER_BITS if ":" in ip else NEIGHBOURS_BITS
    return str(ip_network((ip, bits), strict=False))


def counted_network(ip: str, profile: ProfileName) -> str:
    """The network that a canonical one counts for; empty for none, and for this machine in the local profile."""
    if ip and ip_address(ip).is_loopback and allows_loopback(profile):
        return ""
    return network_of(ip)


def _embedded(address: IPv6Address) -> IPv4Address | None:
    if address in TRANSLATED:
        return IPv4Address(int(address) & 0xFFFF_FFFF)
    return address.ipv4_mapped or address.sixtofour
