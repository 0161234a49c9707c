"""The REST gateway: HTTP faces over the same objects that kubectl sees."""
