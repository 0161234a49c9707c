"""`/jobs`: jobs of any type with a payload, polled for their progress and their structured errors."""
