"""The API of crawl-operator: the custom resource's models, and what operator and worker say to each other."""
