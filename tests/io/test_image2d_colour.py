"""Pictures in colours are photographs: their colours are kept, whatever the file's form, and reach the networks."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from PIL import Image

from monai_semgan.errors import SemganError
from monai_semgan.io.image2d import image2d_volume
from monai_semgan.io.image2d_writing import write_image2d
from monai_semgan.io.reading import read_label, read_volume
from monai_semgan.slicing.preprocessing import GREY_IN_COLOUR, Preprocessing
from tests.io.test_image2d import png16, tiff
from tests.skin_lesions import lesion

COLOURS = Preprocessing(size=32, num_classes=2, label_ids=(255,), field_of_view="image", image_channels=3)


def save(folder: Path, name: str, picture: np.ndarray | Image.Image, **options: object) -> Path:
    picture = picture if isinstance(picture, Image.Image) else Image.fromarray(picture)
    picture.save(folder / name, **options)
    return folder / name


def colours_of(path: Path) -> np.ndarray:
    """(rows, columns, 3) as they were read."""
    colour = read_volume(path).colour
    assert colour is not None
    return colour[..., 0].transpose(2, 1, 0)


@pytest.mark.parametrize("name", ["a.png", "a.tif", "a.bmp"])
def test_a_picture_in_colours_is_a_photograph_of_unknown_pixel_size(name: str, tmp_path: Path) -> None:
    picture, _ = lesion(3)
    volume = read_volume(save(tmp_path, name, picture))
    assert volume.modality == "XC" and volume.projection and not volume.spacing_known and not volume.notes
    assert np.array_equal(colours_of(tmp_path / name), picture)
    assert volume.array.shape == (128, 96, 1), "columns, rows, one plane: geometry is that of grey pictures"
    grey = np.asarray(Image.fromarray(picture).convert("L"), dtype=int)
    assert np.abs(volume.array[:, :, 0].T - grey).max() <= 1, "the array is the brightness"


def test_colours_in_jpeg_are_those_that_pillow_shows(tmp_path: Path) -> None:
    path = save(tmp_path, "a.jpg", lesion(3)[0], quality=90)
    with Image.open(path) as picture:
        assert np.array_equal(colours_of(path), np.asarray(picture))


def test_opacity_is_dropped_and_told_only_where_something_is_transparent(tmp_path: Path) -> None:
    picture, mask = lesion(3)
    opaque = save(tmp_path, "o.png", np.dstack([picture, np.full_like(mask, 255)]))
    clear = save(tmp_path, "c.png", np.dstack([picture, mask]))
    assert read_volume(opaque).notes == () and "transparent" in read_volume(clear).notes[0]
    assert np.array_equal(colours_of(opaque), picture) and np.array_equal(colours_of(clear), picture)


def test_colours_of_a_palette_are_read_as_they_look(tmp_path: Path) -> None:
    palette = Image.fromarray(lesion(3)[0]).quantize(16)
    assert np.array_equal(colours_of(save(tmp_path, "a.png", palette)), np.asarray(palette.convert("RGB")))


@pytest.mark.parametrize("form", ["png", "tif"])
def test_16_bits_a_colour_are_rounded_to_8_with_a_note(form: str, tmp_path: Path) -> None:
    deep = lesion(3)[0].astype(np.uint16) * 257 + np.uint16(100)
    path = tmp_path / f"a.{form}"
    (png16(path, deep, 2) if form == "png" else tiff(path, deep, 2))
    assert "16 bits a colour" in read_volume(path).notes[0]
    assert np.array_equal(colours_of(path), np.rint(deep / 257).astype(np.uint8))


def floating(folder: Path) -> Path:
    return tiff(folder / "a.tif", lesion(3)[0].astype(np.float32), 2)


def print_colours(folder: Path) -> Path:
    return save(folder, "a.jpg", Image.fromarray(lesion(3)[0]).convert("CMYK"))


def lab(folder: Path) -> Path:
    return save(folder, "a.tif", Image.fromarray(lesion(3)[0]).convert("LAB"))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (print_colours, "colours of the kind CMYK.*export it as RGB or grey"),
        (lab, "colours of the kind LAB"),
        (floating, "not a readable picture|numbers of the kind float32"),
    ],
    ids=["CMYK", "LAB", "floats"],
)
def test_other_colours_are_refused_in_one_line(make, message: str, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(SemganError, match=message) as caught:
        read_volume(make(tmp_path))
    assert "\n" not in str(caught.value) and "a." in str(caught.value)


def test_a_turned_photograph_is_refused_as_a_turned_radiograph_is(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[274] = 6
    with pytest.raises(SemganError, match="turned or mirrored.*save it upright"):
        read_volume(save(tmp_path, "a.jpg", lesion(3)[0], exif=exif))


def test_one_colour_all_over_is_no_picture(tmp_path: Path) -> None:
    flat = np.full((9, 9, 3), (10, 200, 30), np.uint8)
    with pytest.raises(SemganError, match="all voxels have the same value"):
        read_volume(save(tmp_path, "a.png", flat))
    flat[0, 0, 2] = 29
    assert read_volume(save(tmp_path, "b.png", flat)).colour is not None


def test_a_coloured_label_is_no_label(tmp_path: Path) -> None:
    with pytest.raises(SemganError, match="colours where grey values are expected"):
        read_label(save(tmp_path, "a.png", lesion(3)[0]))


def test_all_colours_are_scaled_alike_and_stay_in_place(tmp_path: Path) -> None:
    picture, mask = lesion(4)
    prepared = COLOURS(read_volume(save(tmp_path, "a.png", picture)))
    assert prepared.image.shape == (1, 3, 32, 32) and prepared.modality == "XC" and prepared.value_range == (0, 255)
    upright = np.rot90(prepared.image[0].permute(1, 2, 0).numpy())
    small = np.asarray(Image.fromarray(picture).resize((32, 24), Image.Resampling.BOX), dtype=float) / 127.5 - 1
    assert np.abs(upright[4:28] - small).mean() < 0.03, "red is red, upper left is upper left"
    assert (upright[:4] == -1).all() and (upright[28:] == -1).all(), "128 x 96 pixels leave 4 of 32 rows free"
    slices = COLOURS.label_slices(mask.T[:, :, None], prepared.geometry)
    back = prepared.geometry.restore_label(np.stack([slices.numpy() == 0, slices.numpy() == 1], 1).astype(np.float32))
    assert np.mean((mask > 0) == back[:, :, 0].T) > 0.97


def test_a_grey_picture_gets_three_equal_colours_and_a_note(tmp_path: Path) -> None:
    grey = lesion(4)[0][..., 1]
    prepared = COLOURS(read_volume(save(tmp_path, "a.png", grey)), "DX")
    assert GREY_IN_COLOUR in prepared.notes and prepared.modality == "XC", "a list calls every picture a radiograph"
    assert (prepared.image[:, 0] == prepared.image[:, 1]).all() and (prepared.image[:, 0] == prepared.image[:, 2]).all()
    colour = COLOURS(image2d_volume(np.dstack([grey, grey, grey])))
    assert (prepared.image - colour.image).abs().max() < 1e-6, "0 to 255 mean the same"
    deep = COLOURS(read_volume(save(tmp_path, "b.png", grey.astype(np.uint16) * 16)))
    assert deep.image.max() > 0.95 and deep.value_range[1] > 255, "deeper grey is scaled by its percentiles"


def test_a_bright_border_of_a_grey_photograph_stays_what_it_is(tmp_path: Path) -> None:
    grey = lesion(4)[0][..., 1]
    grey[:, :24] = 200
    prepared = COLOURS(read_volume(save(tmp_path, "a.png", grey)))
    colour = COLOURS(image2d_volume(np.dstack([grey, grey, grey])))
    assert (prepared.image - colour.image).abs().max() < 1e-6
    assert not any("padding" in note for note in prepared.notes)


def test_a_picture_in_colours_is_refused_by_a_model_for_grey(tmp_path: Path) -> None:
    grey = Preprocessing(size=32, num_classes=2, field_of_view="image")
    with pytest.raises(SemganError, match="colours where grey values are expected.*bundle for colours"):
        grey(read_volume(save(tmp_path, "a.png", lesion(4)[0])))


@pytest.mark.parametrize("settings", [{"image_channels": 2, "field_of_view": "image"}, {"image_channels": 3}])
def test_colours_are_for_single_images(settings: dict[str, object]) -> None:
    with pytest.raises(SemganError, match="image channels with field of view"):
        Preprocessing(**settings)  # type: ignore[arg-type]


@given(arrays(np.uint8, st.tuples(st.integers(2, 12), st.integers(2, 12), st.just(3))))
def test_what_is_written_is_read_again(picture: np.ndarray) -> None:
    volume = image2d_volume(picture)
    assert volume.colour is not None
    with tempfile.TemporaryDirectory() as folder:
        path = write_image2d(volume.colour, Path(folder) / "a.png")
        with Image.open(path) as found:
            assert np.array_equal(np.asarray(found), picture)
