"""What programs under test are given."""

import socket

import pytest

from local_cluster.programs import free_port


def test_a_free_port_is_kept_for_the_server_that_it_was_asked_for() -> None:
    """Nobody who looks for a port gets it, nobody is connected, and who asks to share can listen on it."""
    address = ("127.0.0.1", free_port())
    with socket.socket() as other, pytest.raises(OSError, match="in use"):
        other.bind(address)
    with socket.socket() as client, pytest.raises(ConnectionRefusedError):
        client.connect(address)
    with socket.create_server(address) as server, socket.create_connection(address) as client:
        accepted, _ = server.accept()
        accepted.close()
        assert client.recv(1) == b""
