"""Every unusable file gives one line with file, problem and remedy; results lie on exactly the input's grid."""

from __future__ import annotations

import gzip
import os
import signal
import subprocess
import sys
import tempfile
import textwrap
from collections.abc import Callable
from itertools import permutations
from pathlib import Path

import nibabel
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from monai_semgan.errors import SemganError
from monai_semgan.io import limits
from monai_semgan.io.formats import writable_endings
from monai_semgan.io.reading import read_label, read_volume
from monai_semgan.io.volume import Volume
from monai_semgan.io.writing import write_label, write_map, write_volume
from monai_semgan.utils.files import check_output, written_aside
from tests.phantoms import grid, patient, save_nifti

SHAPE = (7, 6, 5)


def ramp() -> np.ndarray:
    return np.arange(np.prod(SHAPE), dtype=np.float32).reshape(SHAPE)


def spoilt(value: float) -> np.ndarray:
    array = ramp()
    array[1, 2, 3] = value
    return array


def with_header_bytes(path: Path, offset: int, content: bytes) -> Path:
    """Overwrites bytes of an uncompressed NIfTI header."""
    save_nifti(path, ramp())
    data = bytearray(path.read_bytes())
    data[offset : offset + len(content)] = content
    path.write_bytes(data)
    return path


def cut_off(path: Path, keep: float) -> Path:
    save_nifti(path, np.random.default_rng(0).normal(size=(20, 20, 20)).astype(np.float32))
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * keep)])
    return path


def written(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


def zero_spacing(path: Path) -> Path:
    """Spacing 0 along z, no qform and no sform."""
    path = with_header_bytes(path, 88, np.float32(0).tobytes())
    data = bytearray(path.read_bytes())
    data[252:256] = b"\0\0\0\0"
    path.write_bytes(data)
    return path


def singular(path: Path) -> Path:
    affine = np.diag([2.0, 2.0, 3.0, 1.0])
    affine[:3, 1] = affine[:3, 0]
    return save_nifti_with(path, affine)


def save_nifti_with(path: Path, affine: np.ndarray) -> Path:
    """Keeps an impossible affine, which nibabel would refuse to take apart."""
    image = nibabel.Nifti1Image(ramp(), None)
    image.header.set_sform(affine, 2)
    nibabel.save(image, path)
    return path


def gzip_bomb(folder: Path) -> Path:
    """More voxels than a label map may have, all 0, in a file of little more than a megabyte."""
    side = 1026
    header = nibabel.Nifti1Header()
    header.set_data_dtype(np.uint8)
    header.set_data_shape((side, side, side))
    piece = gzip.compress(bytes(1 << 24))
    count = side**3 // (1 << 24) + 1
    return written(folder / "a.nii.gz", gzip.compress(header.binaryblock + bytes(4)) + piece * count)


# what each makes is given to the command line in tests/test_bad_input.py, which expects the message
BAD: dict[str, tuple[Callable[[Path], Path], str]] = {
    "missing": (lambda d: d / "no.nii.gz", "no such file"),
    "folder": (lambda d: d, "folder holds no DICOM"),
    "empty": (lambda d: written(d / "a.nii.gz", b""), "file is empty"),
    "empty inside gzip": (lambda d: written(d / "a.nii.gz", gzip.compress(b"")), "not a readable NIfTI"),
    "text": (lambda d: written(d / "a.nii.gz", b"hello, this is no image" * 100), "not a readable NIfTI"),
    "text uncompressed": (lambda d: written(d / "a.nii", b"hello, this is no image" * 100), "not a readable NIfTI"),
    "text inside gzip": (lambda d: written(d / "a.nii.gz", gzip.compress(b"x" * 4000)), "not a readable NIfTI"),
    "another format": (lambda d: written(d / "a.gif", b"GIF89a"), "unknown file ending.*supported are .nii"),
    "cut off at 1%": (lambda d: cut_off(d / "a.nii.gz", 0.01), "cut off"),
    "cut off at 90%": (lambda d: cut_off(d / "a.nii.gz", 0.9), "cut off"),
    "cut off, uncompressed": (lambda d: cut_off(d / "a.nii", 0.9), "cut off"),
    "2D": (lambda d: save_nifti(d / "a.nii.gz", ramp()[0]), "2-dimensional image of shape 6x5"),
    "4D": (lambda d: save_nifti(d / "a.nii.gz", np.stack([ramp()] * 2, -1)), "4-dimensional.*one 3D volume"),
    "NaN": (lambda d: save_nifti(d / "a.nii.gz", spoilt(np.nan)), "1 voxels are NaN or infinite"),
    "infinite": (lambda d: save_nifti(d / "a.nii.gz", spoilt(-np.inf)), "1 voxels are NaN or infinite"),
    "constant": (lambda d: save_nifti(d / "a.nii.gz", np.full(SHAPE, 5.0)), "all voxels have the same value 5"),
    "colour": (
        lambda d: save_nifti(d / "a.nii.gz", np.zeros(SHAPE, [("R", "u1"), ("G", "u1"), ("B", "u1")])),
        "not supported",
    ),
    "complex": (lambda d: save_nifti(d / "a.nii.gz", ramp().astype(np.complex64)), "not supported"),
    "zero spacing": (lambda d: zero_spacing(d / "a.nii"), "spacing"),
    "singular affine": (lambda d: singular(d / "a.nii"), "do not span a volume"),
    "affine of NaN": (lambda d: save_nifti_with(d / "a.nii", np.full((4, 4), np.nan)), "not numbers"),
    "impossible size": (lambda d: with_header_bytes(d / "a.nii", 42, np.int16(-7).tobytes()), "not a readable NIfTI"),
    "gigantic size": (
        lambda d: with_header_bytes(d / "a.nii", 42, np.int16(32767).tobytes() * 3),
        "declares 32767 x 32767 x 32767 voxels, too many for an image",
    ),
    "more than the file holds": (
        lambda d: with_header_bytes(d / "a.nii", 42, np.int16(999).tobytes() * 3),
        "cut off: voxels are missing",
    ),
    "gzip bomb": (gzip_bomb, "would unpack to 1.0 GB, .* times its size: no scan shrinks that much"),
    "no voxels": (lambda d: with_header_bytes(d / "a.nii", 42, np.int16(0).tobytes()), "no voxels|not a readable"),
}


def test_a_volume_larger_than_the_memory_is_refused_before_it_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "memory_bytes", lambda: 100.0)
    for name in ("a.nii.gz", "a.nrrd", "a.mha"):
        path = write_volume(ramp(), Volume(ramp(), np.eye(4)), tmp_path / name)
        with pytest.raises(SemganError, match="7 x 6 x 5.* voxels take .* GB, this machine has 0.0 GB; crop"):
            read_volume(path)


@settings(max_examples=200, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)
@given(position=st.integers(0, 347), value=st.binary(min_size=1, max_size=4))
def test_a_damaged_header_is_read_or_explained(tmp_path: Path, position: int, value: bytes) -> None:
    path = with_header_bytes(tmp_path / "a.nii", position, value[: 348 - position])
    try:
        volume = read_volume(path)
    except SemganError as error:
        assert "\n" not in str(error)
    else:
        assert volume.array.ndim == 3 and np.isfinite(volume.affine).all()


@settings(max_examples=20, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)
@given(keep=st.floats(0.0, 0.97))
def test_a_file_cut_off_anywhere_is_explained(tmp_path: Path, keep: float) -> None:
    with pytest.raises(SemganError):
        read_volume(cut_off(tmp_path / "a.nii.gz", keep))


def test_values_are_scaled_and_the_affine_is_in_millimetres(tmp_path: Path) -> None:
    image = nibabel.Nifti1Image(ramp().astype(np.int16), np.diag([-0.002, 0.002, 0.003, 1.0]))
    image.header.set_xyzt_units("meter")
    image.header.set_slope_inter(2.0, -100.0)
    nibabel.save(image, tmp_path / "a.nii.gz")
    volume = read_volume(tmp_path / "a.nii.gz")
    assert volume.array.dtype == np.float32
    np.testing.assert_allclose(volume.spacing, [2, 2, 3], atol=1e-5)
    np.testing.assert_allclose(volume.voxel_ml, 0.012, atol=1e-6)


def test_a_file_that_does_not_say_how_the_patient_lies_is_read_with_a_note(tmp_path: Path) -> None:
    path = save_nifti_with(tmp_path / "a.nii", np.eye(4))
    assert not read_volume(path).notes
    data = bytearray(path.read_bytes())
    data[252:256] = bytes(4)
    path.write_bytes(data)
    assert "assumed" in read_volume(path).notes[0]


def test_oddities_that_nibabel_mends_do_not_reach_the_terminal(tmp_path: Path, capfd: pytest.CaptureFixture) -> None:
    read_volume(with_header_bytes(tmp_path / "a.nii", 76, np.float32(5).tobytes()))
    assert capfd.readouterr().err == ""


def test_a_fourth_axis_of_one_is_ignored(tmp_path: Path) -> None:
    assert read_volume(save_nifti(tmp_path / "a.nii.gz", ramp()[..., None])).array.shape == SHAPE


def test_a_label_of_whole_numbers_is_read_exactly(tmp_path: Path) -> None:
    label = np.random.default_rng(0).integers(0, 14, SHAPE)
    for kind in (np.uint8, np.int16, np.float32):
        read = read_label(save_nifti(tmp_path / "l.nii.gz", label.astype(kind)))
        assert read.array.dtype == np.uint8 and np.array_equal(read.array, label)


def test_an_empty_label_is_a_label(tmp_path: Path) -> None:
    assert not read_label(save_nifti(tmp_path / "l.nii.gz", np.zeros(SHAPE, np.uint8))).array.any()


@pytest.mark.parametrize(
    ("value", "message"),
    [(-1, "label id -1 is out of range 0 to 255"), (300, "label id 300 is out of range"), (1.5, "not whole numbers")],
)
def test_impossible_label_ids_are_named(value: float, message: str, tmp_path: Path) -> None:
    with pytest.raises(SemganError, match=message):
        read_label(save_nifti(tmp_path / "l.nii.gz", np.full(SHAPE, value, np.float32)))


def test_a_label_of_another_grid_is_refused(tmp_path: Path) -> None:
    image = read_volume(save_nifti(tmp_path / "i.nii.gz", ramp()))
    label = np.zeros(SHAPE, np.uint8)
    with pytest.raises(SemganError, match="differ in shape: 6x6x5 and 7x6x5"):
        read_label(save_nifti(tmp_path / "l.nii.gz", label[1:]), image)
    with pytest.raises(SemganError, match="lie at different places"):
        read_label(save_nifti(tmp_path / "l.nii.gz", label, np.diag([2.0, 2.0, 3.0, 1.0])), image)


@pytest.mark.parametrize("order", list(permutations(range(3))))
@pytest.mark.parametrize("spacing", [(2.0, 2.0, 2.0), (2.0, 2.0, 3.0)])
def test_a_label_whose_axes_are_stored_in_another_order_is_read_along_those_of_its_image(
    order: tuple[int, int, int], spacing: tuple[float, float, float], tmp_path: Path
) -> None:
    affine = np.diag([*spacing, 1.0])
    cube = np.arange(216, dtype=np.float32).reshape(6, 6, 6)
    image = read_volume(save_nifti(tmp_path / "i.nii.gz", cube, affine))
    label = np.random.default_rng(0).integers(0, 5, (6, 6, 6)).astype(np.uint8)
    turned = save_nifti(tmp_path / "l.nii.gz", label.transpose(order), affine[:, [*order, 3]])
    read = read_label(turned, image)
    assert np.array_equal(read.array, label) and np.array_equal(read.affine, image.affine)


@settings(max_examples=15, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)
@given(
    codes=st.sampled_from(["LAS", "RPI", "PSR", "SLA", "AIL"]),
    degrees=st.tuples(*[st.floats(-44.0, 44.0)] * 3),
    suffix=st.sampled_from([".nii", ".nii.gz"]),
    sform=st.sampled_from([0, 1, 2]),
)
def test_results_lie_exactly_where_the_input_lies(
    tmp_path: Path, codes: str, degrees: tuple, suffix: str, sform: int
) -> None:
    affine, shape = grid((20.0, 15.0, 30.0), codes=codes, degrees=degrees)
    image = nibabel.Nifti1Image(patient(affine, shape, seed=0).array, affine)
    image.set_qform(affine, 1)
    image.set_sform(affine, sform)
    nibabel.save(image, tmp_path / f"in{suffix}")
    volume = read_volume(tmp_path / f"in{suffix}")
    label = np.random.default_rng(0).integers(0, 5, shape).astype(np.uint8)
    write_label(label, volume, tmp_path / f"out{suffix}")
    source, result = nibabel.load(tmp_path / f"in{suffix}"), nibabel.load(tmp_path / f"out{suffix}")
    assert np.array_equal(source.affine, result.affine) and source.shape == result.shape
    for field in ("qform_code", "sform_code", "xyzt_units", "pixdim", "srow_x", "quatern_b", "qoffset_x"):
        assert np.array_equal(source.header[field], result.header[field]), field
    assert result.get_data_dtype() == np.uint8 and np.array_equal(np.asanyarray(result.dataobj), label)
    assert np.array_equal(read_label(tmp_path / f"out{suffix}", volume).array, label)


def test_scaling_and_free_text_of_the_input_do_not_reach_the_result(tmp_path: Path) -> None:
    image = nibabel.Nifti1Image(ramp().astype(np.int16), np.eye(4))
    image.header.set_slope_inter(0.5, 7)
    image.header["descrip"] = b"Doe^Jane"
    image.header.extensions.append(nibabel.nifti1.Nifti1Extension("comment", b"Doe^Jane"))
    nibabel.save(image, tmp_path / "in.nii")
    volume = read_volume(tmp_path / "in.nii")
    array = np.linspace(0, 1, np.prod(SHAPE)).reshape(SHAPE)
    result = read_volume(write_map(array, volume, tmp_path / "out.nii"))
    np.testing.assert_allclose(result.array, array, atol=1e-6)
    assert b"Doe" not in (tmp_path / "out.nii").read_bytes()


def test_a_volume_without_header_can_be_written(tmp_path: Path) -> None:
    affine, shape = grid((20.0, 15.0, 30.0), degrees=(10.0, 20.0, 0))
    volume = patient(affine, shape)
    read = read_volume(write_volume(volume.array, volume, tmp_path / "new" / "folder" / "a.nii.gz"))
    np.testing.assert_allclose(read.affine, affine, atol=1e-4)
    np.testing.assert_array_equal(read.array, volume.array)


def test_arrays_of_another_shape_are_not_written(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="shape"):
        write_label(np.zeros((2, 2, 2), np.uint8), Volume(ramp(), np.eye(4)), tmp_path / "a.nii.gz")
    assert not list(tmp_path.iterdir())


def test_a_place_that_cannot_be_written_is_found_before_the_work(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    (tmp_path / "folder.nii.gz").mkdir()
    source = save_nifti(tmp_path / "in.nii.gz", ramp())
    (tmp_path / "link.nii.gz").symlink_to(source)
    for name, message in {
        "file/out.nii.gz": "cannot be written",
        "folder.nii.gz": "is a folder",
        "out.png": "unknown file ending; use .nii, .nii.gz, .nrrd, .mha",
        "link.nii.gz": "overwrite the input",
    }.items():
        with pytest.raises(SemganError, match=message):
            check_output(tmp_path / name, writable_endings(), inputs=(source,))


@pytest.mark.skipif(not hasattr(os, "fork"), reason="permissions of POSIX")
def test_a_folder_without_permission_is_named() -> None:
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o555)
        child = os.fork()
        if child == 0:  # root may write everywhere, so look as nobody
            try:
                if os.geteuid() == 0:
                    os.setgroups([])
                    os.setuid(65534)
                check_output(Path(folder) / "a.nii.gz", writable_endings())
            except SemganError as error:
                os._exit(0 if "cannot be written" in str(error) else 1)
            finally:
                os._exit(2)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def test_a_failed_write_keeps_the_old_file_and_leaves_no_rest(tmp_path: Path) -> None:
    target = tmp_path / "a.nii.gz"
    target.write_text("old")
    with pytest.raises(RuntimeError), written_aside(target) as temporary:
        temporary.write_text("half of the n")
        raise RuntimeError("broken")
    assert target.read_text() == "old" and list(tmp_path.iterdir()) == [target]


def test_a_link_keeps_pointing_to_the_result(tmp_path: Path) -> None:
    real = tmp_path / "real.nii.gz"
    (tmp_path / "link.nii.gz").symlink_to(real)
    write_map(ramp(), Volume(ramp(), np.eye(4)), tmp_path / "link.nii.gz")
    assert (tmp_path / "link.nii.gz").is_symlink() and np.array_equal(read_volume(real).array, ramp())


def run_script(text: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", textwrap.dedent(text), *arguments], capture_output=True, text=True, timeout=120
    )


WRITER = """
import resource, signal, sys
import numpy as np
from monai_semgan.io.volume import Volume
from monai_semgan.io.writing import write_map
array = np.random.default_rng(0).normal(size=(100, 100, 50))
{setup}
write_map(array, Volume(array, np.eye(4)), sys.argv[1])
"""


@pytest.mark.parametrize("name", ["a.nii", "a.nii.gz"])
def test_a_full_disk_is_named_and_leaves_nothing(name: str, tmp_path: Path) -> None:
    limit = "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\nresource.setrlimit(resource.RLIMIT_FSIZE, (100000, 100000))"
    result = run_script(WRITER.format(setup=limit), str(tmp_path / name))
    assert result.returncode and "WriteFailure" in result.stderr and "the disk is full; make room" in result.stderr
    assert not list(tmp_path.iterdir())


def test_a_kill_during_the_write_leaves_no_half_written_result(tmp_path: Path) -> None:
    kill = """
    import os, nibabel
    save = nibabel.save
    def half(image, path):
        save(image, path)
        os.truncate(path, 1000)
        os.kill(os.getpid(), 9)
    nibabel.save = half
    """
    result = run_script(WRITER.format(setup=textwrap.dedent(kill)), str(tmp_path / "a.nii.gz"))
    assert result.returncode == -signal.SIGKILL
    assert not (tmp_path / "a.nii.gz").exists()


@pytest.mark.parametrize("suffix", [".nii", ".nii.gz"])
def test_plain_16_bit_nifti_is_not_blown_up_to_float(suffix: str, tmp_path: Path) -> None:
    stored = np.arange(-300, 300, dtype=np.int16).reshape(10, 10, 6)
    path = tmp_path / f"scan{suffix}"
    image = nibabel.Nifti1Image(stored, np.eye(4))
    nibabel.save(image, path)
    array = read_volume(path).array
    assert array.dtype == np.int16 and np.array_equal(array, stored)
    assert array.flags.writeable and array.flags.owndata
    image.header.set_slope_inter(2.0, -5.0)
    nibabel.save(image, path)
    assert np.allclose(read_volume(path).array, np.asarray(nibabel.load(path).dataobj))
