"""Django, in as few files as it takes. `gunicorn examples.django_app.wsgi`."""
