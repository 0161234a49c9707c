"""Faces of other systems over the same objects: each is a set of pure translations and a few thin routes."""
