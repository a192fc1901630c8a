"""Features: each has methods, a service, pure parts and a model. See the README beside app.py."""
