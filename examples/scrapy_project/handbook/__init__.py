"""A Scrapy project as people bring it: nothing in it knows of Kubernetes."""
