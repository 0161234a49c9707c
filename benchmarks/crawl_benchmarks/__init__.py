"""What the operator costs and how fast it is, beside plain batch Jobs on the same API server."""
