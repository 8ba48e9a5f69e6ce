"""Pictures are found by their time stamps, in files as real tools write, cut and damage them."""

import io
from fractions import Fraction

import av
import pytest

from hocbench.datasets.playback import play
from hocbench.datasets.video import probe_video
from hocbench.errors import DatasetError
from tests.datasets import videos
from tests.datasets.videos import numbers_at, repeated, watch, write_video

MILLISECOND = Fraction(1, 1000)
SKIPPED = (3, 4, 9)


def probe(path):
    return probe_video(path.parent, path.name)


WRITERS = [
    ("mpeg4", "avi", {}),
    ("mpeg4", "avi", {"bf": "2"}),
    ("libx264", "avi", {"bf": "0"}),
    ("libx264", "avi", {"bf": "1", "b-pyramid": "none"}),
    ("libx264", "avi", {"bf": "3"}),
    ("mjpeg", "avi", {}),
    ("rawvideo", "avi", {}),
    ("ffv1", "avi", {}),
    ("msmpeg4", "avi", {}),
    ("libx264", "mp4", {"bf": "3"}),
    ("mpeg4", "mp4", {"bf": "2"}),
    ("libx264", "matroska", {"bf": "2"}),
    ("libvpx", "matroska", {"auto-alt-ref": "1", "lag-in-frames": "6"}),
    ("mpeg4", "matroska", {"bf": "1"}),
    ("mpeg2video", "mpegts", {"bf": "2"}),
]


@pytest.mark.parametrize(("codec", "container", "options"), WRITERS)
@pytest.mark.parametrize("skipped", [(), SKIPPED])
def test_every_frame_shows_the_picture_of_its_time(tmp_path, codec, container, options, skipped):
    path = tmp_path / "video.avi"
    write_video(path, numbers_at(16, skipped), codec=codec, container=container, options=options)
    video = probe(path)
    assert watch(path) == repeated(16, skipped)
    assert (video.frames, video.rate, video.pictures) == (16, 25, 16 - len(skipped))
    stated = {"repeated_pictures": f"{len(skipped)} of 16 frames"} if skipped else {}
    assert video.remarks() == stated
    assert video.times().tolist() == [number / 25 for number in range(16)]


@pytest.mark.parametrize("rate", [Fraction(30000, 1001), Fraction(24000, 1001), 15, 50, Fraction(25, 2), 120])
@pytest.mark.parametrize("container", ["avi", "mp4", "matroska"])
def test_odd_rates_shift_nothing(tmp_path, rate, container):
    path = write_video(tmp_path / "video.avi", numbers_at(40, SKIPPED), rate=rate, container=container)
    assert watch(path) == repeated(40, SKIPPED)
    assert probe(path).frames == 40
    assert probe(path).rate == pytest.approx(float(rate), rel=1e-3)


@pytest.mark.parametrize("container", ["mp4", "matroska", "mpegts"])
def test_a_first_stamp_that_is_not_zero_is_the_first_frame(tmp_path, container):
    shown = {number: 7 + number for number in range(12) if number != 5}
    path = write_video(tmp_path / "video.mp4", shown, container=container)
    assert watch(path) == repeated(12, (5,))


def test_empty_chunks_of_an_avi_repeat_a_picture_wherever_they_are(tmp_path):
    path = write_video(tmp_path / "video.avi", numbers_at(12), codec="rawvideo")
    videos.empty_chunks(path, [2, 6, 7, 10, 11])
    # Those at the end too: the index of the file lists them.
    assert watch(path) == repeated(12, (2, 6, 7, 10, 11))
    assert probe(path).remarks() == {"repeated_pictures": "5 of 12 frames"}


def test_empty_chunks_at_the_beginning_leave_their_frames_without_picture_and_move_no_other(tmp_path):
    path = write_video(tmp_path / "video.avi", numbers_at(10), codec="rawvideo")
    videos.empty_chunks(path, [0, 1, 2, 5])
    assert watch(path) == [None, None, None, 3, 4, 4, 6, 7, 8, 9]
    assert next(videos.play(str(path), path)) == "the first picture of the video is shown at frame 3"
    assert probe(path).repeated == 1


def test_packets_without_content_repeat_a_picture(tmp_path):
    """Xvid stores such packets for dropped frames; decoders give nothing for them."""
    source = write_video(tmp_path / "whole.avi", numbers_at(14), gop=1)
    path = tmp_path / "video.avi"
    videos.rewrite_packets(source, path, lambda n, packet: videos.stay(packet) if n in (4, 5, 9, 13) else packet)
    with av.open(str(path)) as file:
        assert len(list(file.decode(video=0))) < 14
    assert watch(path) == repeated(14, (4, 5, 9, 13))


PACKING = {"bf": "1", "sc_threshold": "1000000000", "b_strategy": "0"}


@pytest.mark.parametrize("skipped", [(), (5, 6)])
def test_packets_of_two_pictures_show_both_in_their_order(tmp_path, skipped):
    """FFmpeg gives their pictures time stamps in the wrong order."""
    source = write_video(tmp_path / "whole.avi", numbers_at(16, skipped), options=PACKING)
    path = videos.pack_pictures(source, tmp_path / "video.avi")
    assert watch(path) == repeated(16, skipped)


@pytest.mark.parametrize("stated", [4, 11, 13, 40])
def test_a_whole_avi_has_as_many_frames_as_it_holds_whatever_its_header_states(tmp_path, stated):
    path = videos.state_frames(write_video(tmp_path / "video.avi", numbers_at(12, (3,))), stated)
    assert probe(path).frames == 12
    assert watch(path) == repeated(12, (3,))


def test_an_avi_that_was_written_into_a_pipe_has_as_many_frames_as_it_holds(tmp_path):
    path = write_video(tmp_path / "video.avi", numbers_at(12, (3,)))
    content = path.read_bytes()
    path.write_bytes(content[: content.rindex(b"idx1")])
    videos.state_frames(path, 2**30)
    assert probe(path).frames == 12
    assert watch(path) == repeated(12, (3,))


def test_a_cut_avi_has_as_many_frames_as_its_header_states(tmp_path):
    path = write_video(tmp_path / "video.avi", numbers_at(12, (3,)), codec="rawvideo")
    content = path.read_bytes()
    path.write_bytes(content[: videos.chunks_of(content)[8][1] + 500])
    assert probe(path).frames == 12
    assert watch(path) == [0, 1, 2, 2, 4, 5, 6, 7] + [None] * 4


@pytest.mark.parametrize("codec", ["rawvideo", "mpeg4"])
def test_a_cut_mp4_has_as_many_frames_as_its_table_lists(tmp_path, codec):
    whole = write_video(tmp_path / "whole.mp4", numbers_at(12), gop=1, container="mp4")
    path = tmp_path / "video.mp4"
    keep = lambda number, packet: packet  # noqa: E731
    videos.rewrite_packets(whole, path, keep, container="mp4", options={"movflags": "faststart"})
    content = path.read_bytes()
    path.write_bytes(content[: len(content) - 4 * 58 - 10])
    assert probe(path).frames == 12
    found = watch(path)
    assert found[:6] == [0, 1, 2, 3, 4, 5]
    assert found[-4:] == [None] * 4


def keys_of(path):
    with av.open(str(path)) as file:
        return [packet.pts for packet in file.demux(video=0) if packet.is_keyframe]


@pytest.mark.parametrize(
    ("number", "size", "back"),
    [
        (6, 20, 7),  # only itself
        (6, 40, 14),  # the beginning of the next chunk too, which FFmpeg then does not find
        (8, 200, 14),
        (1, 20, 7),
        (14, 100, 18),
    ],
)
def test_damage_moves_no_picture_and_spoils_those_up_to_the_next_whole_one(tmp_path, number, size, back):
    options = {"sc_threshold": "1000000000"}
    path = write_video(tmp_path / "video.avi", numbers_at(18, (2, 13)), gop=6, options=options)
    assert keys_of(path) == [0, 7, 14]
    videos.damage(path, number, size)
    expected = repeated(18, (2, 13))
    assert watch(path) == expected[:number] + [None] * (back - number) + expected[back:]
    assert probe(path).frames == 18


def test_a_picture_that_is_lost_without_a_trace_moves_no_other(tmp_path):
    path = write_video(tmp_path / "video.avi", numbers_at(12, (2,)), codec="mjpeg")
    content = bytearray(path.read_bytes())
    chunk = videos.chunks_of(content)[5][1]
    content[chunk : chunk + 8] = bytes(8)
    path.write_bytes(bytes(content))
    with av.open(str(path)) as file:
        assert len(list(file.decode(video=0))) == 10
    assert watch(path) == [0, 1, 1, 3, 4, None, *range(6, 12)]
    assert probe(path).remarks()["pictures_lost"] == "1 of 11 pictures"


def test_stamps_that_run_against_the_order_of_packets_are_believed(tmp_path):
    order = [0, 2, 1, 3, 6, 5, 4, 7]

    def restamp(number, packet):
        packet.pts, packet.dts = 512 * order[number], 512 * (number - 3)
        return packet

    source = write_video(tmp_path / "whole.mp4", numbers_at(8), codec="mjpeg", container="mp4")
    path = videos.rewrite_packets(source, tmp_path / "video.mp4", restamp, container="mp4")
    # Picture n is shown at order[n].
    assert watch(path) == [order.index(number) for number in range(8)]


def test_of_two_pictures_at_one_time_the_later_is_shown(tmp_path):
    times = [0, 40, 40, 80, 120, 160]

    def restamp(number, packet):
        packet.pts = packet.dts = times[number]
        return packet

    source = write_video(tmp_path / "whole.mkv", numbers_at(6), codec="mjpeg", container="matroska")
    path = videos.rewrite_packets(source, tmp_path / "video.mkv", restamp, container="matroska")
    assert watch(path) == [0, 2, 3, 4, 5]
    assert probe(path).remarks()["pictures_never_shown"] == "1 of 6 pictures"


def as_filtered(path, rate):
    """Let FFmpeg itself put a video on a grid."""
    with av.open(str(path)) as file:
        stream = file.streams.video[0]
        graph = av.filter.Graph()
        nodes = [
            graph.add_buffer(template=stream),
            graph.add("fps", f"fps={rate}:round=near:start_time=0"),
            graph.add("buffersink"),
        ]
        graph.link_nodes(*nodes).configure()
        for frame in file.decode(stream):
            graph.push(frame)
        graph.push(None)
        found = []
        while True:
            try:
                found.append(videos.tell(graph.pull().to_ndarray(format="rgb24")))
            except (av.error.BlockingIOError, av.error.EOFError):
                return found


@pytest.mark.parametrize("container", ["mp4", "matroska"])
def test_a_video_of_varying_rate_is_put_on_a_grid_as_ffmpeg_does(tmp_path, container):
    times = [0, 40, 80, 130, 200, 240, 270, 330, 360, 391, 410, 440]
    shown = dict(enumerate(times))
    path = write_video(tmp_path / "video.avi", shown, container=container, unit=MILLISECOND)
    video = probe(path)
    assert video.varies
    assert video.remarks()["varying_frame_rate"].startswith("shown on a grid of")
    assert (
        watch(path)[: video.frames] == as_filtered(path, Fraction(video.rate).limit_denominator(10**6))[: video.frames]
    )


def test_pictures_that_come_a_little_early_or_late_keep_their_frames(tmp_path):
    times = [0, 40, 64, 99, 140, 160, 205, 231, 260, 300]
    path = write_video(tmp_path / "video.mkv", dict(enumerate(times)), rate=30, container="matroska", unit=MILLISECOND)
    assert watch(path) == list(range(10))


@pytest.mark.parametrize("options", [{"bf": "0"}, {"bf": "2"}])
def test_a_stream_without_time_stamps_is_taken_to_be_even_and_says_so(tmp_path, options):
    path = write_video(tmp_path / "video.avi", numbers_at(12), codec="libx264", container="h264", options=options)
    assert watch(path) == list(range(12))
    assert probe(path).remarks() == {"no_time_stamps": "taken to be even, 25 per second"}


def test_stamps_of_some_pictures_only_are_refused(tmp_path):
    path = write_video(tmp_path / "video.ts", numbers_at(8), codec="libx264", container="mpegts", options={"bf": "0"})
    content = bytearray(path.read_bytes())
    starts = [start for start in range(len(content)) if content[start : start + 4] == b"\x00\x00\x01\xe0"]
    assert len(starts) == 8
    for start in starts[3:5]:
        # Without the flag, and filled up instead of the stamp.
        content[start + 7] = 0
        length = content[start + 8]
        content[start + 9 : start + 9 + length] = b"\xff" * length
    path.write_bytes(bytes(content))
    with pytest.raises(DatasetError) as error:
        probe(path)
    assert str(error.value) == (
        f"sewa: {path}: 2 of its 8 pictures have no time stamp, so nobody knows when they are shown; write the video "
        "again with time stamps"
    )


def test_a_file_without_video_is_refused(tmp_path):
    path = tmp_path / "sound.avi"
    with av.open(str(path), "w") as file:
        stream = file.add_stream("pcm_s16le", rate=8000, layout="mono")
        frame = av.AudioFrame(format="s16", layout="mono", samples=80)
        frame.rate = 8000
        file.mux(stream.encode(frame))
    with pytest.raises(DatasetError, match="it holds no pictures"):
        probe(path)


@pytest.mark.parametrize(("codec", "container"), [("mjpeg", "avi"), ("mpeg4", "avi"), ("mpeg4", "mp4")])
def test_a_video_in_memory_shows_what_its_file_shows(tmp_path, codec, container):
    path = tmp_path / f"video.{container}"
    write_video(path, {number: number for number in range(300)}, codec=codec)
    in_memory = [isinstance(shown, str) for shown in play(io.BytesIO(path.read_bytes()), path)]
    assert in_memory == [isinstance(shown, str) for shown in play(str(path), path)] == [False] * 300
