"""Stand-ins for the parts of 3D Slicer that are not on PyPI, so that the panel's tests run on real MRML and real Qt.

3D Slicer shows Qt to Python through PythonQt: properties are attributes (`label.text`, not `label.text()`), signals are
connected by signature (`button.connect("clicked()", f)`), unknown attributes cannot be set. `pythonqt.py` gives PySide6
the same manners, `ctk_widgets.py` and `qmrml_widgets.py` replace Slicer's widgets, `application.py` the application.
The MRML scene, its nodes and `slicer.util` are the real ones, of the package `slicer-core`.
"""
