"""What each job type does: a typed job and a context go in, findings come out."""
