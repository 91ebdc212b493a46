"""Kafka's segment files: record batches of version 2, each decompressed as a whole.

As in Kafka's documentation of the record batch: 61 bytes of head, of whose `attributes` the lowest three bits
name the codec, and then the records.
"""

import gzip
import struct
from collections.abc import Iterator
from typing import Literal, assert_never, get_args

import pyarrow

Codec = Literal["none", "gzip", "snappy", "lz4", "zstd"]  # in the order of their numbers

HEAD = struct.Struct(">qiibIhiqqqhii")
LENGTH_FROM = 12  # of a batch's length are offset and length themselves left out
MAGIC = 2
XERIAL = b"\x82SNAPPY\0"
XERIAL_HEAD = 16


def batches(segment: bytes) -> Iterator[bytes]:
    """The records of every batch in a segment, as bytes; what lies after the last whole one is left out."""
    at = 0
    while at + HEAD.size <= len(segment):
        _, length, _, magic, _, attributes, *_ = HEAD.unpack_from(segment, at)
        end = at + LENGTH_FROM + length
        if magic != MAGIC or length <= 0 or end > len(segment):
            return
        yield decompressed(get_args(Codec)[attributes & 7], segment[at + HEAD.size : end])
        at = end


def decompressed(codec: Codec, content: bytes) -> bytes:
    """What was compressed by a codec of Kafka's."""
    match codec:
        case "none":
            return content
        case "gzip":
            return gzip.decompress(content)
        case "snappy":
            return _snappy(content)
        case "lz4" | "zstd":
            with pyarrow.input_stream(pyarrow.py_buffer(content), compression=codec) as stream:
                return bytes(stream.read())
        case _:
            assert_never(codec)


def _snappy(content: bytes) -> bytes:
    """Java's clients write blocks, each with its length before it; librdkafka one without."""
    if not content.startswith(XERIAL):
        return _snappy_block(content)
    blocks, at = [], XERIAL_HEAD
    while at < len(content):
        (length,) = struct.unpack_from(">i", content, at)
        blocks.append(_snappy_block(content[at + 4 : at + 4 + length]))
        at += 4 + length
    return b"".join(blocks)


def _snappy_block(block: bytes) -> bytes:
    size, shift, at = 0, 0, 0
    while True:  # its size, as a varint
        size |= (block[at] & 0x7F) << shift
        if not block[at] & 0x80:
            break
        shift, at = shift + 7, at + 1
    return bytes(pyarrow.Codec("snappy").decompress(block, size))
