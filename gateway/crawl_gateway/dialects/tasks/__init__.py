"""`/tasks`, `/workers` (that path alone), `/schemas`, `/statistics`: tasks of registered types, by integers."""
