"""Webhooks: whoever a job names in `spec.notify` is told how it has ended, at least once.

What has become of each message stands in an annotation of the job. A gateway writes there that it will send one, under
the condition that the job has not changed, before it does: of two gateways one sends. If it dies before it has
written how that went, another one sends again when its time is over.
"""
