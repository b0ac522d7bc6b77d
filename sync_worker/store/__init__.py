"""All of the worker's Redis: what must survive a restart, and what all its processes share. No rules of the exchange.

Every key begins with `sync:`. Links, memories, dead letters and parked events never expire; locks, slots and budgets
do. Each public method raises errors.StoreUnavailable where Redis cannot be had, and no error of redis-py's own.
A command whose answer was lost in a restart is sent again, so each write here is safe to repeat.
"""
