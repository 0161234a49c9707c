"""How properties are searched: without a time limit per example, for machines are shared."""

from hypothesis import settings

settings.register_profile("steady", deadline=None)
settings.load_profile("steady")
