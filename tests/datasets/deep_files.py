"""Files of more than 8 bits a channel, written byte by byte: Pillow reads kinds that it does not write."""

import struct
import zlib

import numpy as np


def write_png(path, values):
    """A PNG of 16 bits a channel from (H, W) or (H, W, C) whole numbers; C is 2 (grey, alpha), 3 or 4."""
    values = np.asarray(values)
    values = values[:, :, None] if values.ndim == 2 else values
    height, width, channels = values.shape
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in values)
    kind = {1: 0, 2: 4, 3: 2, 4: 6}[channels]
    header = struct.pack(">IIBBBBB", width, height, 16, kind, 0, 0, 0)
    path.write_bytes(
        b"\x89PNG\r\n\x1a\n" + _chunk(b"IHDR", header) + _chunk(b"IDAT", zlib.compress(rows)) + _chunk(b"IEND", b"")
    )


def _chunk(name, content):
    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))


def write_tiff(path, values, code, bits=None, data=None):
    """An uncompressed TIFF from (H, W) or (H, W, 3) numbers.

    code  numpy's name of the values' type with their order, such as "<u2"
    bits  of each value, if they are not what `code` has
    data  the bytes of the picture, if they are not the values as `code` writes them
    """
    values = np.asarray(values)
    order, kind = code[0], {"u": 1, "i": 2, "f": 3}[code[1]]
    bits = bits or 8 * int(code[2])
    data = values.astype(code).tobytes() if data is None else data
    (height, width), channels = values.shape[:2], values.shape[2] if values.ndim == 3 else 1
    start = 8 + 2 + 12 * 10 + 4
    depths = struct.pack(order + "H" * channels, *[bits] * channels)
    tags = [
        (256, 3, 1, width), (257, 3, 1, height), (258, 3, channels, bits if channels == 1 else start), (259, 3, 1, 1),
        (262, 3, 1, 1 if channels == 1 else 2), (273, 4, 1, start + len(depths)), (277, 3, 1, channels),
        (278, 3, 1, height), (279, 4, 1, len(data)), (339, 3, 1, kind),
    ]  # fmt: skip
    entries = b"".join(
        struct.pack(order + "HHI", tag, form, count)
        + (struct.pack(order + "HH", value, 0) if form == 3 and count == 1 else struct.pack(order + "I", value))
        for tag, form, count, value in tags
    )
    first = b"II*\0" if order == "<" else b"MM\0*"
    path.write_bytes(
        first + struct.pack(order + "IH", 8, len(tags)) + entries + struct.pack(order + "I", 0) + depths + data
    )


def twelve_bits_packed(values):
    """Values of 12 bits without gaps between them, as a camera writes them."""
    rows = np.asarray(values)
    single = np.unpackbits(rows.astype(">u2").view(np.uint8).reshape(*rows.shape, 2), axis=2)[:, :, 4:]
    return np.packbits(single.reshape(len(rows), -1), axis=1).tobytes()
