"""The operator: it turns CrawlJobs into worker pods and worker outcomes into status."""
