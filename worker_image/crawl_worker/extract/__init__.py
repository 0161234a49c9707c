"""From bytes to what a job wants of them: parsers, each page in a process of its own."""
