"""The worker's configuration: settings from the environment, Celery's options, logging."""
