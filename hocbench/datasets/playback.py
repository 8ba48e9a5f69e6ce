"""What a player shows at each frame of a video: found by time stamps, so that a lost picture moves no other."""

import heapq
import io
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import av
from av.container import InputContainer
from av.video.stream import VideoStream

from hocbench.datasets.timeline import Timeline, open_video, read_timeline

# Pictures of a file whose stamps run against the order of its packets are put in order over so many of them.
REORDERED = 16

Shown = av.VideoFrame | str


@dataclass(frozen=True)
class _Decoded:
    """A picture as it leaves the decoder: its place on the grid, itself, and whether anything up to here was damaged.

    The picture is None if it is damaged, or was decoded from one that is.
    """

    place: int
    picture: av.VideoFrame | None
    damage: bool


def play(media: str | io.BytesIO, path: Path) -> Iterator[Shown]:
    """Yield what is shown at each frame of the grid, or the reason why that is not known; see `Timeline`.

    A frame at which nothing is stored shows the picture before. After a damaged picture, those up to the next one that
    stands for itself are not to be trusted; later ones are, where time stamps say which they are. Errors are those of
    `read_timeline`; what cannot be decoded raises nothing.
    """
    timeline = read_timeline(media, path)
    taken = timeline.taken
    shown: av.VideoFrame | None = None
    stored, place = -1, 0  # the frame that `shown` belongs to, and the next one to be yielded
    for decoded in _in_order(_decode(media, timeline)):
        for number in range(place, decoded.place):
            absent = number in taken and number != stored
            lost = number in timeline.lost or (absent and (decoded.damage or not timeline.skips))
            if lost or number >= timeline.end:
                shown = None
            yield _reason(number, min(taken)) if shown is None else shown
        if decoded.place >= place:
            shown, stored, place = decoded.picture, decoded.place, decoded.place


def _reason(number: int, first: int) -> str:
    if number < first:
        return f"the first picture of the video is shown at frame {first}"
    return f"the video ends or is damaged before frame {number}"


def _in_order(decoded: Iterator[_Decoded]) -> Iterator[_Decoded]:
    waiting: list[tuple[int, int, _Decoded]] = []
    for serial, picture in enumerate(decoded):
        heapq.heappush(waiting, (picture.place, serial, picture))
        if len(waiting) > REORDERED:
            yield heapq.heappop(waiting)[2]
    while waiting:
        yield heapq.heappop(waiting)[2]


def _decode(media: str | io.BytesIO, timeline: Timeline) -> Iterator[_Decoded]:
    """Yield the pictures as they are decoded, and last of all the end of the grid."""
    damage = broken = False  # anything at all, and the picture that the next ones are decoded from
    previous = -1
    with open_video(media) as container:
        stream = container.streams.video[0]
        stream.thread_count = 1
        for harm, pictures in _pictures(container, stream, timeline):
            damage, broken = damage or harm, broken or harm
            for picture in pictures:
                place = timeline.place(picture, previous)
                restored = picture.key_frame and timeline.resumable
                broken = place is None or picture.is_corrupt or (broken and not restored)
                damage = damage or broken
                if place is not None:
                    previous = place
                    yield _Decoded(place, None if broken else picture, damage)
    yield _Decoded(timeline.frames, None, damage)


def _pictures(
    container: InputContainer, stream: VideoStream, timeline: Timeline
) -> Iterator[tuple[bool, list[av.VideoFrame]]]:
    """Yield, packet by packet, whether something was lost before or in it, and the pictures that the decoder gives."""
    packets = container.demux(stream)
    while True:
        try:
            packet = next(packets)
        except StopIteration:
            return
        except av.FFmpegError:
            yield True, []
            return
        try:
            pictures = packet.decode()
        except av.FFmpegError:
            yield True, []
            continue
        yield packet.is_corrupt or packet.pts in timeline.after_loss, [] if packet.is_corrupt else pictures
