"""Radiographs come as pictures, are fitted whole into the slice, and get labels pixel by pixel."""

from __future__ import annotations

import json
import struct
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from monai_semgan.cli import main
from monai_semgan.errors import SemganError
from monai_semgan.io.reading import read_label, read_volume
from monai_semgan.io.writing import write_label
from monai_semgan.slicing.preprocessing import Preprocessing
from tests.phantoms import save_nifti

WHOLE = Preprocessing(size=32, num_classes=3, field_of_view="image")


def chest(rows: int = 40, columns: int = 30) -> tuple[np.ndarray, np.ndarray]:
    """Grey values and labels (rows, columns): two dark lungs, the left image half's lower, and a bright corner."""
    grey = np.full((rows, columns), 150, np.uint8)
    label = np.zeros((rows, columns), np.uint8)
    label[10:30, 4:12] = label[14:34, 18:26] = 1
    grey[label == 1] = 60
    grey[:6, :6] = 250
    return grey, label


def save(folder: Path, name: str, array: np.ndarray) -> Path:
    Image.fromarray(array).save(folder / name)
    return folder / name


@pytest.mark.parametrize("name", ["a.png", "a.tif"])
@pytest.mark.parametrize("kind", [np.uint8, np.uint16])
def test_a_grey_picture_is_a_radiograph_of_unknown_pixel_size(name: str, kind: type, tmp_path: Path) -> None:
    grey = chest()[0].astype(kind) * (200 if kind is np.uint16 else 1)
    volume = read_volume(save(tmp_path, name, grey))
    assert volume.modality == "DX" and not volume.spacing_known and volume.projection
    assert np.array_equal(volume.array[:, :, 0].T, grey)


def test_the_whole_frame_is_fitted_upright_and_comes_back_pixel_by_pixel(tmp_path: Path) -> None:
    grey, label = chest()
    volume = read_volume(save(tmp_path, "a.png", grey))
    prepared = WHOLE(volume)
    shown = np.rot90(prepared.image[0, 0].numpy())
    assert prepared.image.shape == (1, 1, 32, 32) and prepared.modality == "DX"
    assert (shown[:, :4] == -1).all() and (shown[:, -4:] == -1).all(), "40 x 30 pixels leave 4 of 32 free on each side"
    assert shown[1, 5] > 0.9 and shown[30, 5] < 0.9 and shown[1, 26] < 0.9, "the bright corner is at the upper left"
    slices = WHOLE.label_slices(label.T[:, :, None], prepared.geometry)
    scores = np.stack([slices.numpy() == 0, slices.numpy() == 1], axis=1).astype(np.float32)
    back = prepared.geometry.restore_label(scores)
    assert np.mean(label == back[:, :, 0].T) > 0.97


def test_labels_are_written_as_ids_on_the_image_s_pixels(tmp_path: Path) -> None:
    grey, label = chest()
    volume = read_volume(save(tmp_path, "a.png", grey))
    for name in ("l.png", "l.nii.gz", "l.nrrd", "l.mha", "l.seg.nrrd"):
        path = write_label(label.T[:, :, None], volume, tmp_path / name)
        assert np.array_equal(read_label(path, volume).array[:, :, 0].T, label), name
    with Image.open(tmp_path / "l.png") as picture:
        assert picture.mode == "L" and np.array_equal(np.asarray(picture), label)


def test_ids_may_be_the_indices_of_a_palette_and_grey_may_be_stored_as_colour(tmp_path: Path) -> None:
    grey, label = chest()
    palette = Image.fromarray(label, mode="P")
    palette.putpalette([0, 0, 0, 200, 30, 30])
    palette.save(tmp_path / "l.png")
    assert np.array_equal(read_label(tmp_path / "l.png").array[:, :, 0].T, label)
    volume = read_volume(save(tmp_path, "a.png", np.repeat(grey[..., None], 3, axis=-1)))
    assert np.array_equal(volume.array[:, :, 0].T, grey) and "all grey" in volume.notes[0]


def coloured(folder: Path) -> Path:
    return save(folder, "a.png", np.random.default_rng(0).integers(0, 255, (9, 9, 3)).astype(np.uint8))


def cut(folder: Path, keep: float) -> Path:
    path = save(folder, "a.png", np.random.default_rng(0).integers(0, 255, (99, 99)).astype(np.uint8))
    path.write_bytes(path.read_bytes()[: int(keep * path.stat().st_size)])
    return path


def huge(folder: Path) -> Path:
    path = save(folder, "a.png", chest()[0])
    content = bytearray(path.read_bytes())
    struct.pack_into(">II", content, 16, 100_000, 100_000)
    struct.pack_into(">I", content, 29, zlib.crc32(bytes(content[12:29])))
    path.write_bytes(content)
    return path


def pages(folder: Path) -> Path:
    first, second = (Image.fromarray(chest()[0]) for _ in range(2))
    first.save(folder / "a.tif", save_all=True, append_images=[second])
    return folder / "a.tif"


def text(folder: Path) -> Path:
    (folder / "a.png").write_text("no picture" * 9)
    return folder / "a.png"


BAD: dict[str, tuple[Callable[[Path], Path], str]] = {
    "colours": (coloured, "colours where grey values are expected; export it as a grey image"),
    "text": (text, "not a readable picture"),
    "cut off in the header": (lambda d: cut(d, 0.003), "not a readable picture"),
    "cut off": (lambda d: cut(d, 0.5), "damaged or cut off"),
    "100,000 x 100,000": (huge, "too large|too many"),
    "several pages": (pages, "holds 2 pictures"),
    "one grey": (lambda d: save(d, "a.png", np.full((9, 9), 7, np.uint8)), "same value 7"),
    "a volume": (
        lambda d: save_nifti(d / "a.nii.gz", np.random.rand(9, 9, 9).astype(np.float32)),
        "volume of 9x9x9 voxels, this model segments single radiographs",
    ),
}


@pytest.mark.parametrize("case", BAD)
def test_an_unusable_radiograph_is_one_line_and_leaves_nothing(
    case: str, tmp_path: Path, radiograph_bundle: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    make, message = BAD[case]
    path, results = make(tmp_path), tmp_path / "results"
    command = ["segment", str(path), "-o", str(results / "o.nii.gz"), "--bundle", str(radiograph_bundle), "--quiet"]
    assert main(command) == 2
    error = capfd.readouterr().err
    assert error.count("\n") == 1 and str(path) in error and not list(results.glob("*"))
    with pytest.raises(SemganError, match=message):
        WHOLE(read_volume(path))


@pytest.mark.parametrize("name", ["o.png", "o.nii.gz", "o.seg.nrrd", "o.mha"])
def test_a_radiograph_is_segmented(
    name: str, tmp_path: Path, radiograph_bundle: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    path, output = save(tmp_path, "a.png", chest()[0]), tmp_path / name
    picture = tmp_path / "overlay.png"
    options = ["--bundle", str(radiograph_bundle), "--overlay", str(picture), "--quiet"]
    assert main(["segment", str(path), "-o", str(output), *options]) == 0
    shown = capfd.readouterr()
    assert "30x40x1 pixels of unknown size" in shown.out and "pixels" in shown.out and " ml" not in shown.out
    assert read_label(output, read_volume(path)).array.shape == (30, 40, 1) and picture.exists()


def test_a_ct_bundle_says_that_it_wants_a_volume(
    tmp_path: Path, tiny_bundle: Path, ct_scan: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    path = save(tmp_path, "a.png", chest()[0])
    command = ["--bundle", str(tiny_bundle), "--quiet"]
    assert main(["segment", str(path), "-o", str(tmp_path / "o.png"), *command]) == 2
    assert "single image, this model segments CT or MR volumes" in capfd.readouterr().err
    assert main(["segment", str(ct_scan), "-o", str(tmp_path / "o.png"), *command]) == 2
    assert "a picture holds a single image" in capfd.readouterr().err
    assert not (tmp_path / "o.png").exists()


def test_a_list_of_pictures_trains_on_whole_images(tmp_path: Path) -> None:
    from monai_semgan.training.run_plan import field_of_view
    from tests.training.phantoms import train

    grey, label = chest()
    items = []
    for number in range(4):
        save(tmp_path, f"i{number}.png", np.roll(grey, number, axis=0))
        save(tmp_path, f"l{number}.png", np.roll(label, number, axis=0))
        items.append({"image": f"i{number}.png", "label": f"l{number}.png"})
    path = tmp_path / "list.json"
    path.write_text(json.dumps({"training": items[:3], "validation": items[3:]}))
    assert field_of_view(path) == "image"
    options = {"channels": [8, 8], "generated_fraction": 0, "batch_size": 2}
    (result,) = train("student", path, tmp_path / "run", steps=2, size=32, num_classes=3, device="cpu", **options)
    assert result.finished and "dice_1" in result.metrics
    save_nifti(tmp_path / "ct.nii.gz", np.random.rand(9, 9, 9).astype(np.float32))
    path.write_text(json.dumps({"training": [*items, {"image": "ct.nii.gz"}]}))
    with pytest.raises(SemganError, match="both radiographs and volumes"):
        field_of_view(path)


def png16(path: Path, values: np.ndarray, kind: int) -> Path:
    """A PNG of 16 bits, which Pillow does not write with several values a pixel."""
    rows, columns = values.shape[:2]
    lines = b"".join(b"\0" + line.astype(">u2").tobytes() for line in values)
    parts = {b"IHDR": struct.pack(">IIBBBBB", columns, rows, 16, kind, 0, 0, 0), b"IDAT": zlib.compress(lines)}
    chunks = [*parts.items(), (b"IEND", b"")]
    packed = [struct.pack(">I", len(c)) + n + c + struct.pack(">I", zlib.crc32(n + c)) for n, c in chunks]
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(packed))
    return path


def tiff(path: Path, values: np.ndarray, photometric: int, tags: dict[int, int] | None = None) -> Path:
    """A TIFF written tag by tag, one value or several a pixel."""
    data, samples = values.tobytes(), values.shape[2] if values.ndim == 3 else 1
    bits = struct.pack(f"<{samples}H", *[8 * values.itemsize] * samples)
    kind = {"u": 1, "i": 2, "f": 3}[values.dtype.kind]
    found = {256: values.shape[1], 257: values.shape[0], 259: 1, 262: photometric, 273: 8, 277: samples}
    found |= {278: values.shape[0], 279: len(data), 339: kind, **(tags or {})}
    entries = {tag: struct.pack("<HHII", tag, 4, 1, value) for tag, value in found.items()}
    where = len(data) + 8 if samples > 2 else int.from_bytes(bits.ljust(4, b"\0"), "little")
    entries[258] = struct.pack("<HHII", 258, 3, samples, where)
    directory = struct.pack("<H", len(entries)) + b"".join(entries[tag] for tag in sorted(entries)) + bytes(4)
    end = bits.ljust(8, b"\0")
    path.write_bytes(b"II*\0" + struct.pack("<I", 8 + len(data) + len(end)) + data + end + directory)
    return path


def deep() -> np.ndarray:
    """Grey values that differ in their lower 8 bits only in places."""
    return (np.arange(120).reshape(12, 10) * 500 + 3).astype(np.uint16)


@pytest.mark.parametrize(("kind", "count"), [(0, 1), (4, 2), (2, 3), (6, 4)], ids=["L", "LA", "RGB", "RGBA"])
def test_png_of_16_bits_is_read_at_full_depth(kind: int, count: int, tmp_path: Path) -> None:
    layers = [deep()] * (1 if count < 3 else 3) + [np.full_like(deep(), 65535)] * (count in (2, 4))
    volume = read_volume(png16(tmp_path / "a.png", np.dstack(layers), kind))
    assert np.array_equal(volume.array[:, :, 0].T, deep())


def test_tiff_of_three_times_16_bits_is_read_at_full_depth(tmp_path: Path) -> None:
    volume = read_volume(tiff(tmp_path / "a.tif", np.dstack([deep()] * 3), 2))
    assert np.array_equal(volume.array[:, :, 0].T, deep())


def test_colours_that_differ_in_the_lower_8_bits_only_are_colours(tmp_path: Path) -> None:
    colours = np.dstack([deep(), deep(), deep() + 1])
    for path in (png16(tmp_path / "a.png", colours, 2), tiff(tmp_path / "a.tif", colours, 2)):
        with pytest.raises(SemganError, match="colours where grey values are expected"):
            WHOLE(read_volume(path))


@pytest.mark.parametrize("kind", ["u1", "<u2", "<f4"])
def test_white_is_zero_is_turned_round_at_every_depth(kind: str, tmp_path: Path) -> None:
    stored = (np.arange(120).reshape(12, 10) * (2 if kind == "u1" else 500)).astype(kind)
    black, white = (read_volume(tiff(tmp_path / f"{p}.tif", stored, p)).array[:, :, 0].T for p in (1, 0))
    most = {"u1": 255, "<u2": 65535}.get(kind, float(stored.max()))
    assert np.array_equal(black, stored) and np.array_equal(white, most - stored)
    label = (stored > 100).astype(np.uint8)
    assert np.array_equal(read_label(tiff(tmp_path / "l.tif", label, 0)).array[:, :, 0].T, label), "ids are no grey"


def test_tiff_of_signed_8_bits_has_its_sign(tmp_path: Path) -> None:
    stored = (np.arange(120).reshape(12, 10) - 60).astype(np.int8)
    assert np.array_equal(read_volume(tiff(tmp_path / "a.tif", stored, 1)).array[:, :, 0].T, stored)


@pytest.mark.parametrize("kind", ["<u4", "<i4"])
def test_tiff_of_32_bits_has_its_sign(kind: str, tmp_path: Path) -> None:
    grey = np.arange(120).reshape(12, 10)
    for stored in (grey, grey * 2**25 if kind == "<u4" else (grey - 60) * 2**25):
        volume = read_volume(tiff(tmp_path / "a.tif", stored.astype(kind), 1))
        assert np.array_equal(volume.array[:, :, 0].T, stored)


def test_turned_pictures_are_refused_and_turned_tiff_is_told(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[274] = 6
    for name in ("a.jpg", "a.png"):
        Image.fromarray(chest()[0]).save(tmp_path / name, exif=exif)
        with pytest.raises(SemganError, match="turned or mirrored.*save it upright"):
            read_volume(tmp_path / name)
    volume = read_volume(tiff(tmp_path / "a.tif", deep(), 1, {274: 3}))
    assert np.array_equal(volume.array[:, :, 0].T, deep()[::-1, ::-1]) and "upright" in volume.notes[0]


@pytest.mark.parametrize("kind", ["<f8", "<u8"])
def test_numbers_that_pillow_does_not_read_are_not_called_cut_off_alone(kind: str, tmp_path: Path) -> None:
    with pytest.raises(SemganError, match="of numbers that are not supported"):
        read_volume(tiff(tmp_path / "a.tif", deep().astype(kind), 1))
