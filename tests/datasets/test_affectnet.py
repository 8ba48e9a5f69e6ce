import shutil

import cv2
import numpy as np
import pandas as pd
import pytest

from hocbench.datasets.index import read_index
from hocbench.datasets.layouts import COLUMNS
from hocbench.seeds import generator
from hocbench.synthetic.scenes import render_stills
from tests.datasets.conftest import nearest, refusal

OUTER = "Manually_Annotated"
LISTS = f"{OUTER}/Manually_Annotated_file_lists"
OF_THE_OTHERS = "[-1, 1], the scale of the other files, and not -2 (uncertain); check the scale of the file"


@pytest.fixture
def root(copy_of):
    return copy_of("affectnet")


def edit(root, split, change):
    """Rewrite a list as text cells, so that nothing else in it changes."""
    path = root / LISTS / f"{split}.csv"
    table = pd.read_csv(path, dtype=str, keep_default_na=False)
    change(table)
    table.to_csv(path, index=False)
    return path


def put(column, row, text):
    def change(table):
        table.loc[row - 1, column] = text

    return change


def test_each_row_of_the_lists_is_a_clip_of_one_frame_and_a_subject_of_its_own(indices):
    frames = indices["affectnet"].frames
    assert frames["split"].value_counts().to_dict() == {"training": 30, "validation": 20}
    assert frames["clip"].is_unique
    assert frames["subject"].equals(frames["clip"])
    assert set(frames["frame"]) == {0}
    assert frames["clip"].iloc[0] == "1000/training000000"


@pytest.mark.parametrize("split", ["training", "validation"])
def test_labels_landmarks_and_pictures_are_what_was_rendered(indices, rendered, split):
    truth = render_stills(generator(1, dataset="affectnet", split=split, chunk=0), 100, 64)
    frames = indices["affectnet"].frames.query("split == @split").reset_index()
    certain = frames["status"] != "uncertain_label"
    for target in ("valence", "arousal"):
        expected = getattr(truth, target)[: len(frames)]
        np.testing.assert_allclose(frames.loc[certain, target], expected[certain], atol=1e-6)
    unreadable = 0
    for i, row in frames.iterrows():
        picture = cv2.imread(str(rendered["affectnet"] / row.source))
        unreadable += picture is None
        if picture is not None:
            assert nearest(picture, truth.frames) == i
        if len(row.landmarks):
            np.testing.assert_allclose(row.landmarks.reshape(68, 2), truth.landmarks[i], atol=0.006)
    assert unreadable == (split == "training")


def test_boxes_frame_the_landmarks(indices):
    frames = indices["affectnet"].frames.query("status != 'landmarks_failed'")
    points = np.stack(frames["landmarks"].to_list()).reshape(-1, 68, 2)
    corner = frames[["box_x", "box_y"]].to_numpy()
    np.testing.assert_allclose(points.min(axis=1), corner, atol=0.51)
    np.testing.assert_allclose(np.ptp(points, axis=1), frames[["box_width", "box_height"]], atol=0.51)


def test_rows_of_minus_two_become_missing_labels(root):
    edit(root, "training", put("valence", 4, "-2"))
    frames = read_index("affectnet", root).frames
    row = frames[frames["clip"] == "1000/training000003"].iloc[0]
    assert row["status"] == "uncertain_label"
    assert np.isnan(row["valence"])
    assert np.isnan(row["arousal"])


@pytest.mark.parametrize("text", ["", "1;2;3", "garbage", "1;x;" * 68, "1;" * 135 + "nan", "1;" * 137])
def test_landmarks_that_are_not_68_points_count_as_failed(root, text):
    edit(root, "validation", put("facial_landmarks", 2, text))
    frames = read_index("affectnet", root).frames.set_index("clip")
    row = frames.loc["2000/validation000001"]
    assert (row["status"], len(row["landmarks"])) == ("landmarks_failed", 0)


def test_landmarks_may_end_in_a_separator(root, indices):
    edit(root, "validation", lambda table: table.update(table[["facial_landmarks"]] + ";"))
    found, expected = read_index("affectnet", root).frames, indices["affectnet"].frames
    assert found["status"].equals(expected["status"])


def test_a_list_without_header_reads_the_same(root, indices):
    path = root / LISTS / "validation.csv"
    path.write_text(path.read_text().split("\n", 1)[1])
    pd.testing.assert_frame_equal(read_index("affectnet", root).frames, indices["affectnet"].frames)


def test_a_list_of_one_row_without_header_is_read(root):
    path = root / LISTS / "validation.csv"
    path.write_text(path.read_text().split("\n")[1] + "\n")
    frames = read_index("affectnet", root).frames
    assert frames["split"].value_counts()["validation"] == 1


def test_a_copy_without_the_outer_folder_is_read(root, indices):
    for folder in sorted((root / OUTER).iterdir()):
        shutil.move(folder, root / folder.name)
    (root / OUTER).rmdir()
    frames, expected = read_index("affectnet", root).frames, indices["affectnet"].frames
    assert (root / frames["source"].iloc[0]).is_file()
    changed = expected["source"].str.removeprefix(f"{OUTER}/")
    pd.testing.assert_frame_equal(frames, expected.assign(source=changed))


@pytest.mark.parametrize("name", ["training", "validation"])
def test_a_missing_list_is_named_with_the_layout(root, name):
    (root / LISTS / f"{name}.csv").unlink()
    expected = root / "Manually_Annotated_file_lists" / f"{name}.csv"
    text = refusal("affectnet", root)
    assert text.startswith(f"affectnet: {expected} is missing; expected layout: [Manually_Annotated/]")


def test_missing_images_are_named_with_the_layout(root):
    shutil.rmtree(root / OUTER / "Manually_Annotated_Images")
    assert f"{root / 'Manually_Annotated_Images'} is missing; expected layout" in refusal("affectnet", root)


def test_an_empty_list_is_refused(root):
    path = root / LISTS / "training.csv"
    path.write_bytes(b"")
    assert refusal("affectnet", root) == f"affectnet: {path} is empty; copy it from the release again"


def test_a_list_of_only_a_header_is_refused(root):
    path = root / LISTS / "training.csv"
    path.write_text(",".join(COLUMNS) + "\n")
    assert refusal("affectnet", root) == f"affectnet: {path} is empty below its header; copy it from the release again"


@pytest.mark.parametrize("column", COLUMNS)
def test_a_missing_column_is_named_with_those_that_are_there(root, column):
    path = edit(root, "training", lambda table: table.pop(column))
    text = refusal("affectnet", root)
    assert text.startswith(f"affectnet: {path} has no column {column}; it has ")
    assert text.endswith("Use the list as released")


def test_a_misspelt_header_is_not_taken_for_a_list_without_header(root):
    path = root / LISTS / "training.csv"
    path.write_text(path.read_text().replace("subDirectory_filePath", "path", 1))
    assert f"{path} has no column subDirectory_filePath; it has path, face_x" in refusal("affectnet", root)


@pytest.mark.parametrize(
    ("column", "cell", "fault"),
    [
        (
            "valence",
            "1.5",
            f"valence 1.5 is outside {OF_THE_OTHERS}",
        ),
        (
            "arousal",
            "-3",
            f"arousal -3 is outside {OF_THE_OTHERS}",
        ),
        (
            "arousal",
            "inf",
            f"arousal inf is outside {OF_THE_OTHERS}",
        ),
        ("valence", "high", "valence 'high' is not a number; correct the row"),
        ("valence", "", "valence is empty; correct the row"),
        ("face_x", "left", "face_x 'left' is not a number; correct the row"),
        ("subDirectory_filePath", "", "subDirectory_filePath is empty; correct the row"),
    ],
)
def test_a_bad_cell_is_named_by_its_row(root, column, cell, fault):
    path = edit(root, "training", put(column, 7, cell))
    assert refusal("affectnet", root) == f"affectnet: {path}, row 7: {fault}"


def test_a_row_listed_twice_is_refused(root):
    edit(root, "training", put("subDirectory_filePath", 2, "1000/training000000.jpg"))
    path = root / LISTS / "training.csv"
    assert refusal("affectnet", root) == (
        f"affectnet: {path}, rows 1 and 2: '1000/training000000' is listed twice; remove one of the rows"
    )


@pytest.mark.parametrize("content", [b"\xff\xfe\x00\x81,\x9c\n1,2\n", b"a,b\n1,2\n1,2,3,4\n", b'a,"b\n1,2\n'])
def test_a_list_that_is_not_csv_in_utf_8_is_refused(root, content):
    path = root / LISTS / "validation.csv"
    path.write_bytes(content)
    text = refusal("affectnet", root)
    assert text.startswith(f"affectnet: {path} cannot be read as CSV (")
    assert text.endswith("); save it in UTF-8" if content[0] == 0xFF else "); use the file as released")


def test_the_renderer_damages_what_it_lists(indices):
    statuses = indices["affectnet"].frames.groupby("split")["status"].value_counts().unstack(fill_value=0)
    assert statuses["uncertain_label"].to_dict() == {"training": 1, "validation": 1}
    assert statuses["landmarks_failed"].to_dict() == {"training": 1, "validation": 1}
