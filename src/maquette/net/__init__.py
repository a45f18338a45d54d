"""Outbound HTTP: the one client factory, and what failures of sending mean."""

from maquette.net.client import Address, addresses, allowed_addresses, client
from maquette.net.replies import cleaned, failure, retry_after, sending

__all__ = [
    "Address",
    "addresses",
    "allowed_addresses",
    "cleaned",
    "client",
    "failure",
    "retry_after",
    "sending",
]
