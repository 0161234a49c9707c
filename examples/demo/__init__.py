"""The demo: a small site on loopback, and a tour that crawls it on a local cluster."""
