"""The door: takes the webhooks of Bitrix24 and 1C, verifies the caller, and queues what they say.

It knows of the worker only `sync_worker.contract`, and sends tasks by name, so a broken worker cannot take it down.
"""
