"""`/workers/…`: a queue of jobs with workers and schedules.

The words of states and priorities depend on the prefix: `Processing` and `High` below `/workers`, as the server of that
interface has them; `processing` and `high` below `/api/v1/workers`, as its Python client does.
"""
