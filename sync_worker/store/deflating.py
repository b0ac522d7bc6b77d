"""Small values deflated against a dictionary of what they have in common: raw deflate, without header or checksum."""

from __future__ import annotations

import zlib


def deflate(content: bytes, dictionary: bytes) -> bytes:
    deflater = zlib.compressobj(level=9, wbits=-zlib.MAX_WBITS, zdict=dictionary)
    return deflater.compress(content) + deflater.flush()


def inflate(deflated: bytes, dictionary: bytes) -> bytes:
    """Errors: zlib.error where it was deflated against another dictionary."""
    inflater = zlib.decompressobj(wbits=-zlib.MAX_WBITS, zdict=dictionary)
    return inflater.decompress(deflated) + inflater.flush()
