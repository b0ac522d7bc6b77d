"""1C over its exchange HTTP service: one client that every call goes through, and one module a port.

Facts of the platform: the project's notes on 1C, parts 1 and 8; the service itself: onec-exchange.openapi.yaml.
"""
