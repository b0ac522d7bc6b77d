"""The desk: the "Dead letters" tab inside Flower, where a person settles what waits.

How it looks and who may do what is decided here; what can be done with a letter is decided in `sync.office`.
"""
