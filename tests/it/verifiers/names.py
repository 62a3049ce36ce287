"""For Schemathesis: every name below localhost is this machine, whatever its resolver knows of them (RFC 6761)."""

import socket

lookup = socket.getaddrinfo


def at_home(host, *rest, **named):
    return lookup("127.0.0.1" if str(host).endswith(".localhost") else host, *rest, **named)


socket.getaddrinfo = at_home
