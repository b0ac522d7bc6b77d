"""The flows. They see the world through `ports` only: no gateway, no store, no Celery, no Redis."""
