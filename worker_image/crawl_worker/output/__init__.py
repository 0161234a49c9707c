"""From records to a stored result: forms, and places outside the operator's own store."""
