"""What a worker does with jobs, as those who know Celery expect it: real workers, a real server, a real gateway."""
