"""Who may write to a meter through the server. Pure."""

from __future__ import annotations

import ipaddress

from logger.config.share import ModbusShare


class Writers:
    """The clients that `config` lets write: nobody unless it names them."""

    def __init__(self, config: ModbusShare) -> None:
        self._allowed = config.writes == "allow"
        self._networks = config.writing_networks
        self._devices = {one for one in config.writers if one in config.listen}

    def may(self, name: str, *, device: bool) -> bool:
        """Return whether the client called `name` (its address, or its device) may write."""
        if not self._allowed:
            return False
        if device:
            return name in self._devices
        address = ipaddress.ip_address(name.partition("%")[0])
        mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
        return any((mapped or address) in network for network in self._networks)
