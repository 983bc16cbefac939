"""What a bundle writes lies where the scan lies, for every program, and carries what the scan's header carries."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest
import SimpleITK
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from monai.data import DataLoader, Dataset, MetaTensor, decollate_batch
from monai.transforms import Compose, SaveImaged

from monai_semgan.errors import SemganError
from monai_semgan.io.reading import read_volume
from monai_semgan.io.writing import write_label
from monai_semgan.slicing.preprocessing import Preprocessing
from monai_semgan.transforms.dictionary import ExtractSlicesd, LoadVolumed, NormaliseIntensityd, PlanSlicesd
from monai_semgan.transforms.restoring import RestoreLabeld
from monai_semgan.transforms.saving import SaveImageOnScand
from tests.phantoms import grid, patient, save_nifti

SMALL = Preprocessing(size=16, pixel_mm=22.0)
LABELS = {1: "liver", 2: "right kidney", 3: "left kidney", 4: "spleen"}


def save_forms(path: Path, qform: int, sform: int, apart: float = 0.0) -> Path:
    """A scan with these codes, whose forms lie some mm apart."""
    affine, shape = grid((12.0, 12.0, 18.0))
    image = nibabel.Nifti1Image(patient(affine, shape, seed=0).array.astype(np.int16), affine)
    other = affine.copy()
    other[2, 3] += apart
    image.set_qform(affine, qform)
    image.set_sform(other, sform)
    image.header.set_xyzt_units("mm", "sec")
    image.header["descrip"] = b"JOHN DOE"
    nibabel.save(image, path)
    return path


def loaded(path: Path, workers: int = 0, name: str = "") -> dict[str, Any]:
    """An item with a label, as it leaves a data loader and the postprocessing of a bundle."""
    steps = (LoadVolumed("image"), PlanSlicesd("image", SMALL), NormaliseIntensityd("image"), ExtractSlicesd("image"))
    entry = {"image": str(path), **({"name": name} if name else {})}
    batch = next(iter(DataLoader(Dataset([entry], Compose(list(steps))), batch_size=1, num_workers=workers)))
    (item,) = decollate_batch(batch)
    scores = np.zeros((5, *item["image"].shape[1:]), np.float32)
    scores[1, 4:9, 4:9] = scores[4, 10:12, 10:12] = 1
    return RestoreLabeld("pred", LABELS, cleanup=False)({**item, "pred": scores})


def save(item: dict[str, Any], folder: Path, ending: str = ".nii.gz", **options: Any) -> Path:
    SaveImageOnScand("pred", folder, output_ext=ending, **options)(item)
    (found,) = (path for path in folder.rglob("*") if path.is_file())
    return found


def centre(path: Path) -> tuple[float, ...]:
    """Middle of what is labelled, in mm, as ITK sees the file."""
    image = SimpleITK.ReadImage(str(path))
    labelled = np.argwhere(SimpleITK.GetArrayViewFromImage(image) > 0)[:, ::-1]
    middle: tuple[float, ...] = image.TransformContinuousIndexToPhysicalPoint(labelled.mean(axis=0).tolist())
    return middle


@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)
@given(
    qform=st.integers(0, 4),
    sform=st.integers(0, 4),
    apart=st.sampled_from([0.0, 50.0]),
    ending=st.sampled_from([".nii.gz", ".nii", ".nrrd", ".mha", ".seg.nrrd"]),
)
def test_results_lie_where_itk_puts_the_scan_whatever_the_forms(
    tmp_path_factory: pytest.TempPathFactory, qform: int, sform: int, apart: float, ending: str
) -> None:
    folder = tmp_path_factory.mktemp("forms")
    scan = save_forms(folder / "ct.nii.gz", qform, sform, apart)
    item = loaded(scan)
    found = save(item, folder / "out", ending, labels=LABELS)
    assert found.name == f"ct_seg{ending}"
    drawn = SimpleITK.GetImageFromArray(np.asarray(item["pred"][0]).T)  # as a user draws it on the scan in 3D Slicer
    drawn.CopyInformation(SimpleITK.ReadImage(str(scan)))
    SimpleITK.WriteImage(drawn, str(folder / "drawn.mha"))
    np.testing.assert_allclose(centre(found), centre(folder / "drawn.mha"), atol=1e-3)


@pytest.mark.parametrize("workers", [0, 1])
@pytest.mark.parametrize("codes", [(1, 2), (2, 1), (1, 0), (0, 4), (0, 0)])
def test_nifti_is_that_of_the_command_line_byte_by_byte(tmp_path: Path, codes: tuple[int, int], workers: int) -> None:
    scan = save_forms(tmp_path / "ct.nii.gz", *codes, apart=50.0)
    item = loaded(scan, workers)
    found = save(item, tmp_path / "out", ".nii")
    expected = write_label(np.asarray(item["pred"][0]), read_volume(scan), tmp_path / "x.nii")
    assert found.read_bytes() == expected.read_bytes()
    header = nibabel.load(found).header
    assert (int(header["qform_code"]), int(header["sform_code"])) == codes
    assert header.get_xyzt_units() == ("mm", "sec") and not header["descrip"].item()


def test_a_scan_that_was_resampled_on_the_way_is_not_put_back_by_its_header(tmp_path: Path) -> None:
    item = loaded(save_forms(tmp_path / "ct.nii.gz", 1, 1))
    label: MetaTensor = item["pred"]
    moved = label.affine.clone()
    moved[:3, 3] += 30.0
    meta = {name: value for name, value in label.meta.items() if name != "affine"}
    item["pred"] = MetaTensor(label.as_tensor(), affine=moved, meta=meta)
    np.testing.assert_allclose(nibabel.load(save(item, tmp_path / "out")).affine, moved.numpy(), atol=1e-4)


def test_names_of_structures_reach_formats_that_hold_them(tmp_path: Path) -> None:
    affine, shape = grid((12.0, 12.0, 18.0))
    item = loaded(save_nifti(tmp_path / "ct.nii.gz", patient(affine, shape, seed=0).array, affine))
    found = save(item, tmp_path / "out", ".seg.nrrd", labels=LABELS)
    text = found.read_bytes()[:6000].decode(errors="replace")
    assert "Name:=liver" in text.replace("_", "") and "spleen" in text


@pytest.mark.parametrize("saver", [SaveImageOnScand, SaveImaged])
def test_a_file_is_called_by_the_name_of_its_entry_also_by_the_writer_of_monai(tmp_path: Path, saver: Any) -> None:
    item = loaded(save_forms(tmp_path / "ct.nii.gz", 1, 1), name="p1__ct.2")
    saver("pred", output_dir=tmp_path / "out", output_postfix="seg", separate_folder=False)(item)
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["p1__ct.2_seg.nii.gz"]


def test_options_that_name_files_work_and_others_are_refused(tmp_path: Path) -> None:
    (tmp_path / "in" / "p1").mkdir(parents=True)
    item = loaded(save_forms(tmp_path / "in" / "p1" / "ct.nii.gz", 1, 1))
    found = save(item, tmp_path / "out", data_root_dir=str(tmp_path / "in"), separate_folder=True, resample=False)
    assert found.relative_to(tmp_path / "out").as_posix() == "p1/ct/ct_seg.nii.gz"
    for option in ({"resample": True}, {"scale": 255}, {"writer": "ITKWriter"}):
        with pytest.raises(SemganError, match=f"{next(iter(option))}: results lie on the scan's grid as they are"):
            SaveImageOnScand("pred", tmp_path, **option)
    for ending in (".dcm", ".jpg", ".seg.nrrd"):
        with pytest.raises(SemganError, match="output_ext: .* cannot be written; use .nii"):
            SaveImageOnScand("pred", tmp_path, output_ext=ending, output_dtype=np.float32)


def test_a_folder_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    item = loaded(save_forms(tmp_path / "ct.nii.gz", 1, 1))
    (tmp_path / "file").write_text("x")
    with pytest.raises(SemganError, match="cannot be written"):
        SaveImageOnScand("pred", tmp_path / "file" / "out")(item)
