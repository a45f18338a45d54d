"""The HTTP surface: thin routers over the services."""
