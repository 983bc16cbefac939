"""Points, lassos and boxes: voxels of the scan that markups mark, wherever scan and markups were moved to."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..Translation import tr as _
from . import Geometry
from .VolumeExport import shape_of

if TYPE_CHECKING:
    import numpy

FEWEST_CORNERS = 3
HALF = 0.5


def marked(kind: str, markup: Any, volume: Any, view: Any = None) -> list[numpy.ndarray]:
    """Number the voxels that a markup marks, in as many parts as it makes strokes: one for each point.

    Args:
        kind: `"point"`, `"lasso"` or `"box"`.
        view: see `lasso`.

    Raises:
        ValueError: if it marks nothing of the scan, or the kind is none; the text says what to do.
    """
    import numpy as np

    if kind == "point":
        return [np.array([place]) for place in points(markup, volume)]
    if kind == "lasso":
        return [lasso(markup, volume, view)]
    if kind == "box":
        return [box(markup, volume)]
    raise ValueError(_("“{kind}” is no kind of prompt.").format(kind=kind))


def points(markup: Any, volume: Any) -> list[int]:
    """Number the voxels in which the control points of a markup lie, each once, in their order.

    Raises:
        ValueError: if none of them lies in the scan; the text says so.
    """
    import numpy as np

    shape = np.array(shape_of(volume))
    voxels = np.round(_to_index(_control_points(markup), volume)).astype(int)
    inside = ((voxels >= 0) & (voxels < shape)).all(axis=1)
    if not inside.any():
        raise ValueError(_("The point lies outside of the scan. Place it on the scan."))
    return list(dict.fromkeys(_numbers(voxels[inside], shape_of(volume)).tolist()))


def lasso(markup: Any, volume: Any, view: Any = None) -> numpy.ndarray:
    """Number the voxels inside a closed curve, in the one layer of voxels that its plane goes through.

    Args:
        view: slice node of the view that it was drawn in; without it, the plane is that which lies closest to the
            points.

    Raises:
        ValueError: if it has too few corners or encloses no voxel of the scan; the text says so.
    """
    import numpy as np

    world = _curve_points(markup)
    if len(world) < FEWEST_CORNERS:
        raise ValueError(_("A lasso needs three points at least. Draw around the place."))
    corners, normal = _to_index(world, volume), _plane(world, volume, view)
    depth = int(np.argmax(np.abs(normal)))
    across = [axis for axis in range(3) if axis != depth]
    rows = _filled([corners[:, axis] for axis in across], [shape_of(volume)[axis] for axis in across])
    voxels = np.empty((len(rows), 3))
    voxels[:, across] = rows
    middle = corners.mean(axis=0)
    slope = normal[across] / normal[depth]
    voxels[:, depth] = middle[depth] - (rows - middle[across]) @ slope
    return _inside(voxels, volume, _("The lasso encloses no voxel of the scan. Draw it larger, or on the scan."))


def box(markup: Any, volume: Any) -> numpy.ndarray:
    """Number the voxels inside a box: a ROI as it is turned, or the voxels between the ends of a line or curve.

    Raises:
        ValueError: if no voxel of the scan lies inside; the text says so.
    """
    import numpy as np

    empty = _("The box holds no voxel of the scan. Draw it on the scan.")
    if not markup.IsA("vtkMRMLMarkupsROINode"):
        corners = np.round(_to_index(_control_points(markup), volume))
        if len(corners) < 2:
            raise ValueError(_("A box needs two corners. Draw it from one corner to the opposite one."))
        return _inside(_grid(corners.min(axis=0), corners.max(axis=0), volume), volume, empty)
    matrix, half = Geometry.as_array(markup.GetObjectToWorldMatrix()), np.array(markup.GetSize()) / 2
    signs = np.array([[x, y, z] for x in (-1, 1) for y in (-1, 1) for z in (-1, 1)])
    ends = _to_index(_moved(signs * half, matrix), volume)
    voxels = _grid(np.floor(ends.min(axis=0)), np.ceil(ends.max(axis=0)), volume)
    world = _moved(voxels, Geometry.ijk_to_world(volume))
    within = np.abs(_moved(world, np.linalg.inv(matrix))) <= np.maximum(half, _thinnest(matrix, volume))
    return _inside(voxels[within.all(axis=1)], volume, empty)


def _thinnest(matrix: numpy.ndarray, volume: Any) -> numpy.ndarray:
    """Find half the thickness (3,) that a flat box has along its axes: that of a layer of voxels."""
    import numpy as np

    steps = np.abs(np.linalg.inv(matrix[:3, :3]) @ Geometry.ijk_to_world(volume)[:3, :3])
    return np.asarray(steps.max(axis=1) * HALF * (1 - 1e-6))


def _plane(world: numpy.ndarray, volume: Any, view: Any) -> numpy.ndarray:
    """Find the normal (3,) of a lasso's plane in voxel indices."""
    import numpy as np

    linear = Geometry.ijk_to_world(volume)[:3, :3]
    if view is not None:
        normal = Geometry.as_array(view.GetSliceToRAS())[:3, 2]
    else:
        normal = np.linalg.svd(world - world.mean(axis=0))[2][2]
    return np.asarray(linear.T @ normal)


def _filled(corners: list[numpy.ndarray], sizes: list[int]) -> numpy.ndarray:
    """List the points (N, 2) of a plane of voxels whose middle lies inside a polygon."""
    import numpy as np
    import vtk
    from vtk.util.numpy_support import vtk_to_numpy

    polygon = vtk.vtkPoints()
    for across, down in zip(*corners):
        polygon.InsertNextPoint(across, down, 0)
    source = vtk.vtkLassoStencilSource()
    source.SetPoints(polygon)
    source.SetShapeToPolygon()
    source.SetOutputWholeExtent(0, sizes[0] - 1, 0, sizes[1] - 1, 0, 0)
    image = vtk.vtkImageStencilToImage()
    image.SetInputConnection(source.GetOutputPort())
    image.SetInsideValue(1)
    image.SetOutputScalarTypeToUnsignedChar()
    image.Update()
    array = vtk_to_numpy(image.GetOutput().GetPointData().GetScalars()).reshape(sizes[1], sizes[0])
    return np.argwhere(array)[:, ::-1]


def _control_points(markup: Any) -> numpy.ndarray:
    """Read the defined control points (N, 3) of a markup in the world."""
    import numpy as np

    found = []
    for n in range(markup.GetNumberOfControlPoints()):
        if markup.GetNthControlPointPositionStatus(n) == markup.PositionDefined:
            found.append(markup.GetNthControlPointPositionWorld(n))
    return np.array([list(point) for point in found], dtype=float).reshape(-1, 3)


def _curve_points(markup: Any) -> numpy.ndarray:
    """Read the points (N, 3) of a curve as it is drawn, smooth between its control points."""
    import numpy as np
    from vtk.util.numpy_support import vtk_to_numpy

    world = markup.GetCurvePointsWorld() if markup.IsA("vtkMRMLMarkupsCurveNode") else None
    if world is None or world.GetNumberOfPoints() < FEWEST_CORNERS:
        return _control_points(markup)
    return np.array(vtk_to_numpy(world.GetData()), dtype=float)


def _to_index(world: numpy.ndarray, volume: Any) -> numpy.ndarray:
    import numpy as np

    return _moved(world, np.linalg.inv(Geometry.ijk_to_world(volume)))


def _moved(places: numpy.ndarray, matrix: numpy.ndarray) -> numpy.ndarray:
    """Transform points (N, 3)."""
    import numpy as np

    return np.asarray(places @ matrix[:3, :3].T + matrix[:3, 3])


def _grid(low: numpy.ndarray, high: numpy.ndarray, volume: Any) -> numpy.ndarray:
    """List the voxels (N, 3) of the scan between two corners, both included."""
    import numpy as np

    low = np.maximum(low, 0).astype(int)
    high = np.minimum(high, np.array(shape_of(volume)) - 1).astype(int)
    axes = [np.arange(first, last + 1) for first, last in zip(low, high)]
    return np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, 3)


def _inside(voxels: numpy.ndarray, volume: Any, otherwise: str) -> numpy.ndarray:
    """Number those of voxels (N, 3) that lie in the scan, in ascending order; complain if there are none."""
    import numpy as np

    shape = np.array(shape_of(volume))
    whole = np.round(voxels).astype(int)
    inside = ((whole >= 0) & (whole < shape)).all(axis=1)
    if not inside.any():
        raise ValueError(otherwise)
    return np.unique(_numbers(whole[inside], shape_of(volume)))


def _numbers(voxels: numpy.ndarray, shape: tuple[int, int, int]) -> numpy.ndarray:
    import numpy as np

    return np.ravel_multi_index(tuple(voxels.T[::-1]), shape[::-1])
