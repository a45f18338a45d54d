"""Outbound HTTP: the one client factory, and what failures of sending mean."""

from maquette.net.client import Address, addresses, allowed_addresses, client
from maquette.net.envelope import Envelope, pack, unpack
from maquette.net.replies import cleaned, failure, retry_after, sending

__all__ = [
    "Address",
    "Envelope",
    "addresses",
    "allowed_addresses",
    "cleaned",
    "client",
    "failure",
    "pack",
    "retry_after",
    "sending",
    "unpack",
]
