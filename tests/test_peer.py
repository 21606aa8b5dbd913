"""Whether a server is another machine, from the routes as the kernel lists them."""

from __future__ import annotations

from pathlib import Path

import pytest

from logger.derive.peer import elsewhere

# A machine on 192.168.1.0/24 with hardware, and a bridge for containers, 172.17.0.0/16.
ROUTES = """\
Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT
end0\t00000000\t0101A8C0\t0003\t0\t0\t100\t00000000\t0\t0\t0
docker0\t000011AC\t00000000\t0001\t0\t0\t0\t0000FFFF\t0\t0\t0
end0\t0001A8C0\t00000000\t0001\t0\t0\t100\t00FFFFFF\t0\t0\t0
"""
ROUTES_6 = """\
20010db8000000000000000000000000 40 00000000000000000000000000000000 00 \
00000000000000000000000000000000 00000064 00000001 00000000 00000001     end0
fd000000000000000000000000000000 08 00000000000000000000000000000000 00 \
00000000000000000000000000000000 00000064 00000001 00000000 00000001  docker0
00000000000000000000000000000000 00 00000000000000000000000000000000 00 \
fe800000000000000000000000000001 00000064 00000001 00000000 00000003     end0
"""


@pytest.mark.parametrize(
    ("peer", "own", "wanted"),
    [
        ("127.0.0.1", "127.0.0.1", False),
        ("127.0.0.2", "127.0.0.1", False),
        ("192.168.1.7", "192.168.1.7", False),
        ("192.168.1.9", "192.168.1.7", True),
        ("93.184.216.34", "192.168.1.7", True),
        ("172.17.0.3", "172.17.0.1", False),
        ("::1", "::1", False),
        ("::ffff:172.17.0.3", "::ffff:172.17.0.1", False),
        ("fd00::3", "fd00::1", False),
        ("2001:db8::9", "2001:db8::7", True),
        ("2600::1", "2001:db8::7", True),
    ],
)
def test_a_container_is_no_other_machine(tmp_path: Path, peer: str, own: str, wanted: bool) -> None:
    net = tmp_path / "proc" / "self" / "net"
    net.mkdir(parents=True)
    (net / "route").write_text(ROUTES, encoding="ascii")
    (net / "ipv6_route").write_text(ROUTES_6, encoding="ascii")
    (tmp_path / "sys" / "class" / "net" / "end0" / "device").mkdir(parents=True)
    assert elsewhere(peer, own, tmp_path) is wanted


def test_the_real_routes_of_this_machine() -> None:
    assert not elsewhere("127.0.0.1", "127.0.0.1")
    assert not elsewhere("::1", "::1")
