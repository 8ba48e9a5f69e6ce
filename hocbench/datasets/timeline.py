"""When each picture of a video is shown, on the grid of its nominal rate; read from packets, hardly one decoded."""

import io
import math
import re
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from statistics import median
from typing import Literal, NamedTuple

import av
from av.container import InputContainer
from av.video.stream import VideoStream

from hocbench.datasets.avi import AviIndex, read_avi_index
from hocbench.errors import DatasetError

# Stamps in milliseconds are up to 0.06 frames off at 120 frames a second; a grid that is farther off is another one.
OFF_GRID = Fraction(1, 10)
# A grid may have that many frames to one picture; the unit of the stamps, often a millisecond, is no frame rate.
DENSEST = 1.5
# FFmpeg guesses the times of these in an AVI, which holds none, and it guesses wrong around skipped frames.
GUESSED_IN_AVI = ("h264", "hevc", "vvc")
# What FFmpeg states in an AVI that it writes into a pipe, where it cannot come back to its header.
UNKNOWN_FRAMES = 2**30
# How DivX and others say that a packet may hold two pictures of MPEG-4, of which the later one is shown first.
PACKED = re.compile(rb"DivX\d+(?:Build|b)\d+p")


@dataclass(frozen=True)
class Timeline:
    """Where the pictures of a video stand on the grid of its frames; frame k is what a player shows at k / rate.

    Attributes
    ----------
    rate : Fraction
        Frames of the grid per second.
    frames : int
        Length of the grid. It is longer than `end` where the file was cut short and states how long it was.
    end : int
        Frames up to the end of what the file holds.
    key : {"pts", "dts", ""}
        What gives the place of a picture: its own time stamp; or, where the file holds none of single pictures, when
        the packet is due that makes the decoder give it; or only its order.
    places : dict of int to int
        Key of each picture, in units of its stream → place on the grid, from 0.
    taken : set of int
        Places that have a picture of their own, or had one before it was lost.
    pictures : int
        How many the file holds, or lists.
    lost : set of int
        Places of pictures that the file lists and that cannot be found in it.
    after_loss : set of int
        Time stamps of the pictures that follow lost ones.
    resumable : bool
        Whether pictures after a damaged one are known by their time stamps.
    skips : bool
        Whether its codec stores packets without content for pictures that stay as they are.
    stamped : bool
        Whether the file holds time stamps; if not, its pictures follow each other evenly, as players assume.
    varies : bool
        Whether the time stamps lie on no grid; each picture then stands at the frame nearest to it.
    size : (int, int)
        Width and height of its pictures in pixels.
    """

    rate: Fraction
    frames: int
    end: int
    key: Literal["pts", "dts", ""]
    places: dict[int | None, int]
    taken: set[int]
    pictures: int
    lost: set[int]
    after_loss: set[int | None]
    resumable: bool
    skips: bool
    stamped: bool
    varies: bool
    size: tuple[int, int]

    def place(self, picture: av.VideoFrame, previous: int) -> int | None:
        """Return the place of a decoded picture, given that of the one before; None if it is not known."""
        key = picture.pts if self.key == "pts" else picture.dts if self.key == "dts" else None
        if key is None and self.key != "pts":
            # The last ones are given without a packet.
            return previous + 1 if previous + 1 < self.frames else None
        return self.places.get(key)


class _Packet(NamedTuple):
    """What is kept of a packet; times are in units of its stream."""

    stamp: int | None  # which the decoder gives to its picture
    shown: int | None
    ticket: int | None  # which the decoder gives to the picture that this packet makes it give
    due: int | None  # when it is decoded
    lasts: int
    position: int | None  # in the file


class _Times(NamedTuple):
    """When pictures are shown, in units of the stream."""

    key: Literal["pts", "dts", ""]
    keys: list[int | None]  # of the first pictures, or of all
    shown: list[int]
    last: int  # duration of the last one


def open_video(media: str | io.BytesIO) -> InputContainer:
    """Open a video, from its beginning."""
    if not isinstance(media, str):
        media.seek(0)
    return av.open(media, "r")


def read_timeline(media: str | io.BytesIO, path: Path) -> Timeline:
    """Read the times of all pictures of a video; ``path`` is for messages.

    Raises
    ------
    DatasetError
        If the file has no picture or no rate, or only some pictures have time stamps.
    av.FFmpegError, IndexError, OSError
        If it cannot be read.
    """
    with open_video(media) as container:
        stream = container.streams.video[0]
        if stream.codec_context is None:
            raise DatasetError(f"{path} cannot be read as a video (its codec is unknown); copy it again or convert it")
        avi = container.format.name == "avi"
        packets, delay, packed = _read_packets(container, stream)
        # Only now: media in memory have one place, which the container reads on from.
        index = read_avi_index(media, stream.index) if avi else None
        if index is not None:
            packets = _at_chunks(packets, index)
        if not packets:
            raise DatasetError(f"{path} cannot be read as a video (it has no frame); copy it again")
        by_due = avi and (packed or stream.codec_context.name in GUESSED_IN_AVI)
        times = _times_by_due(packets, delay) if by_due else _times_by_stamps(packets, path)
        rate, varies = _nominal_rate(stream, times.shown, path, stated=avi or not times.key)
        step = Fraction(stream.time_base or 1) * rate if times.key else Fraction(1)
        stated = stream.frames if avi else _nearest(stream.duration or 0, step)
        size = stream.width, stream.height
        cut = index is None and len(packets) < stream.frames < UNKNOWN_FRAMES
        skips = stream.codec_context.name == "mpeg4"
    # An AVI may begin with chunks without content; players show other files from their first picture on.
    origin = min(times.shown) - (packets[0].due or 0 if index is not None else 0)
    places = [_nearest(time - origin, step) for time in times.shown]
    end = max(max(places) + 1, _nearest(max(times.shown) + times.last - origin, step))
    if index is not None:
        end = max(end, len(index.sizes))
    lost, after_loss = _losses(packets, index)
    return Timeline(
        rate=rate,
        frames=max(end, stated) if cut else end,
        end=end,
        key=times.key,
        places=dict(zip(times.keys, places, strict=False)),
        taken={*places, *lost},
        pictures=len(packets) + len(lost),
        lost=lost,
        after_loss=after_loss,
        # Without its index, the pictures of an AVI are counted as they are met, and a lost one moves the others.
        resumable=times.key == "pts" and (not avi or (index is not None and index.first not in lost)),
        skips=skips,
        stamped=times.key != "",
        varies=varies,
        size=size,
    )


def _read_packets(container: InputContainer, stream: VideoStream) -> tuple[list[_Packet], int, bool]:
    """Read the packets of pictures, how many the decoder takes in before the first one, and whether some hold two.

    Those that an edit list hides are left out, and what comes after a packet that cannot be read.
    """
    packets: list[_Packet] = []
    delay: int | None = None
    packed = PACKED.search(stream.codec_context.extradata or b"") is not None
    ordered = not stream.codec_context.has_b_frames
    with suppress(av.FFmpegError):
        for packet in container.demux(stream):
            if packet.size and not packet.is_discard:
                if delay is None and _gives_picture(packet):
                    delay = len(packets)
                if not packets:
                    packed = packed or PACKED.search(bytes(packet)) is not None
                shown = packet.dts if packet.pts is None and ordered else packet.pts
                packets.append(_Packet(packet.pts, shown, packet.dts, packet.dts, packet.duration or 0, packet.pos))
    return packets, delay or 0, packed


def _gives_picture(packet: av.Packet) -> bool:
    try:
        return len(packet.decode()) > 0
    except av.FFmpegError:
        return False


def _at_chunks(packets: Sequence[_Packet], index: AviIndex) -> list[_Packet]:
    """Correct the times of packets of an AVI by where they lie: FFmpeg counts them, and so misses what it cannot find.

    What lies where the index lists nothing is left out.
    """
    corrected = []
    for packet in packets:
        number = index.numbers.get(-1 if packet.position is None else packet.position)
        if number is not None and packet.due is not None:
            shown = None if packet.shown is None else packet.shown + number - packet.due
            corrected.append(packet._replace(shown=shown, due=number))
    return corrected


def _losses(packets: Sequence[_Packet], index: AviIndex | None) -> tuple[set[int], set[int | None]]:
    """Find the chunks that the index lists and FFmpeg cannot find, and the stamps of the packets right after them."""
    if index is None:
        return set(), set()
    lost = set(index.numbers.values()) - {packet.due for packet in packets}
    filled = sorted(index.numbers.values())
    after = {later for earlier, later in pairwise(filled) if earlier in lost}
    return lost, {packet.stamp for packet in packets if packet.due in after}


def _times_by_due(packets: Sequence[_Packet], delay: int) -> _Times:
    """Find when pictures are shown that have no time of their own: when the packets that give them are due."""
    given = packets[delay:]
    shown = [packet.due or 0 for packet in given]
    shown += range(shown[-1] + 1, shown[-1] + 1 + delay)
    return _Times("dts", [packet.ticket for packet in given], shown, 1)


def _times_by_stamps(packets: Sequence[_Packet], path: Path) -> _Times:
    shown = [packet.shown for packet in packets if packet.shown is not None]
    if not shown:
        return _Times("", [], list(range(len(packets))), 1)
    if len(shown) < len(packets):
        raise DatasetError(
            f"{path}: {len(packets) - len(shown)} of its {len(packets)} pictures have no time stamp, so nobody knows "
            "when they are shown; write the video again with time stamps"
        )
    return _Times("pts", [packet.stamp for packet in packets], shown, packets[shown.index(max(shown))].lasts)


def _nominal_rate(stream: VideoStream, shown: Sequence[int], path: Path, *, stated: bool) -> tuple[Fraction, bool]:
    """Find the rate of the grid that the times lie on, and whether they lie on none."""
    rates = [Fraction(rate) for rate in (stream.average_rate, stream.guessed_rate, stream.base_rate) if rate]
    if not rates:
        raise DatasetError(f"{path} cannot be read as a video (it states no frame rate); copy it again")
    times = sorted(set(shown))
    if stated or len(times) == 1:
        return rates[0], False
    unit = Fraction(stream.time_base or 1)
    usual = float(unit) * median(later - earlier for earlier, later in pairwise(times))
    for place, rate in enumerate(rates):
        # The average rate is what the container states, or what its pictures give if none is left out.
        if (place == 0 or float(rate) * usual <= DENSEST) and _lie_on_grid(times, unit * rate):
            return rate, False
    return min(rates, key=lambda rate: abs(math.log(float(rate) * usual))), True


def _lie_on_grid(times: Sequence[int], step: Fraction) -> bool:
    places = [_nearest(time - times[0], step) for time in times]
    off = max(abs((time - times[0]) * step - place) for time, place in zip(times, places, strict=True))
    return off <= OFF_GRID and len(set(places)) == len(places)


def _nearest(ticks: int, step: Fraction) -> int:
    """Return the frame nearest to a time, of two the later."""
    return int((2 * ticks * step.numerator + step.denominator) // (2 * step.denominator))
