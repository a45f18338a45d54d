"""Maquette: a self-hosted image production studio."""

__version__ = "0.1.0"
