"""Small videos whose pictures show their numbers, and what users' tools did to such files."""

import struct
from fractions import Fraction
from itertools import pairwise

import av
import numpy as np

from hocbench.datasets.playback import play

DARK, BRIGHT = 60, 180
FORMATS = {"mjpeg": "yuvj420p", "rawvideo": "bgr24", "huffyuv": "yuv422p"}


def write_video(
    path, shown, *, codec="mpeg4", container="avi", rate=25, unit=None, options=None, gop=12, size=(64, 48)
):
    """Encode picture n, for n in ``shown``, at ``shown[n]`` units of time (by default frames)."""
    unit = unit or 1 / Fraction(rate)
    with av.open(str(path), "w", format=container) as file:
        stream = file.add_stream(codec, rate=Fraction(rate), options=options or {})
        stream.width, stream.height = size
        stream.pix_fmt = FORMATS.get(codec, "yuv420p")
        stream.codec_context.time_base = unit
        stream.codec_context.gop_size = gop
        for number, time in shown.items():
            file.mux(stream.encode(picture(number, time, unit, size, stream.pix_fmt)))
        file.mux(stream.encode(None))
    return path


def picture(number, time, unit, size=(64, 48), form="yuv420p"):
    """Draw a picture that shows the bits of its number as eight dark or bright fields."""
    bits = np.array([number >> bit & 1 for bit in range(8)]).reshape(2, 4)
    grey = np.where(bits, BRIGHT, DARK).repeat(size[1] // 2, axis=0).repeat(size[0] // 4, axis=1)
    pixels = np.repeat(grey[:, :, None], 3, axis=2).astype(np.uint8)
    frame = av.VideoFrame.from_ndarray(pixels, format="rgb24").reformat(format=form)
    frame.pts, frame.time_base = time, unit
    return frame


def numbers_at(frames, but=()):
    """Let picture n be shown at frame n, for some frames; ``write_video`` takes it."""
    return {number: number for number in range(frames) if number not in but}


def repeated(frames, but=()):
    """List which picture a player shows at each frame where some are not stored: the one before."""
    shown = []
    for number in range(frames):
        shown.append(shown[-1] if number in but else number)
    return shown


def tell(pixels):
    """Read the number that a picture shows."""
    height, width = pixels.shape[:2]
    fields = pixels.reshape(2, height // 2, 4, width // 4, -1).mean(axis=(1, 3, 4)).ravel()
    return sum(1 << bit for bit in range(8) if fields[bit] > (DARK + BRIGHT) / 2)


def watch(path):
    """Play a video: the numbers of the pictures, None where there is a reason instead."""
    shown = play(str(path), path)
    return [None if isinstance(each, str) else tell(each.to_ndarray(format="rgb24")) for each in shown]


def rewrite_packets(source, target, change, container="avi", options=None):
    """Copy a video packet by packet; ``change`` takes number and packet and gives the one to write, or None."""
    with av.open(str(source)) as old, av.open(str(target), "w", format=container, options=options or {}) as new:
        stream = new.add_stream_from_template(old.streams.video[0])
        packets = [packet for packet in old.demux(video=0) if packet.size]
        for number, packet in enumerate(packets):
            packet.stream = stream
            changed = change(number, packet)
            if changed is not None:
                new.mux(changed)
    return target


def stay(packet):
    """Make the packet of MPEG-4 that says that the picture before stays: a header, and no content."""
    # P picture, no second passed, marker, 5 bits of time at 25 per second, marker, not coded; filled up as required.
    bits = "01" + "0" + "1" + f"{packet.pts % 25:05b}" + "1" + "0" + "01111"
    short = av.Packet(b"\x00\x00\x01\xb6" + int(bits, 2).to_bytes(len(bits) // 8, "big"))
    short.pts, short.dts, short.duration, short.time_base = packet.pts, packet.dts, packet.duration, packet.time_base
    short.stream = packet.stream
    return short


def pack_pictures(source, target):
    """Put each B picture into the packet before it and leave a short one in its place, as DivX did, and said."""
    with av.open(str(source)) as file:
        packets = [packet for packet in file.demux(video=0) if packet.size]
    contents = [bytes(packet) for packet in packets]
    for earlier, (first, second) in enumerate(pairwise(packets)):
        if second.pts < first.pts:
            contents[earlier] += contents[earlier + 1]
            contents[earlier + 1] = bytes(stay(second))
    start = contents[0].index(b"\x00\x00\x01\xb6")
    contents[0] = contents[0][:start] + b"\x00\x00\x01\xb2DivX503b1393p" + contents[0][start:]
    with av.open(str(source)) as old, av.open(str(target), "w") as new:
        stream = new.add_stream_from_template(old.streams.video[0])
        for content, packet in zip(contents, packets, strict=True):
            packed = av.Packet(content)
            packed.stream, packed.time_base, packed.is_keyframe = stream, packet.time_base, packet.is_keyframe
            packed.pts = packed.dts = packet.dts
            new.mux(packed)
    return target


def chunks_of(content):
    """Find the video chunks of an AVI by its index: places of their index entries and of the chunks."""
    index = content.rindex(b"idx1")
    movi = content.index(b"movi")
    count = struct.unpack_from("<I", content, index + 4)[0] // 16
    entries = [index + 8 + 16 * each for each in range(count)]
    return [(entry, movi + struct.unpack_from("<I", content, entry + 8)[0]) for entry in entries]


def empty_chunks(path, numbers):
    """Take the content out of chunks of an AVI, as recorders do for a picture that they dropped."""
    content = bytearray(path.read_bytes())
    chunks = chunks_of(content)
    for number in numbers:
        entry, chunk = chunks[number]
        size = struct.unpack_from("<I", content, chunk + 4)[0]
        struct.pack_into("<I", content, entry + 12, 0)
        struct.pack_into("<I", content, chunk + 4, 0)
        struct.pack_into("<4sI", content, chunk + 8, b"JUNK", size - 8 + size % 2)
    path.write_bytes(bytes(content))
    return path


def damage(path, number, size=40):
    """Overwrite the middle of the content of a chunk of an AVI."""
    content = bytearray(path.read_bytes())
    chunk = chunks_of(content)[number][1]
    content[chunk + 8 : chunk + 8 + size] = bytes(size)
    path.write_bytes(bytes(content))
    return path


def state_frames(path, frames):
    """Let the headers of an AVI state another number of frames."""
    content = bytearray(path.read_bytes())
    struct.pack_into("<I", content, content.index(b"avih") + 8 + 16, frames)
    struct.pack_into("<I", content, content.index(b"strh") + 8 + 32, frames)
    path.write_bytes(bytes(content))
    return path
