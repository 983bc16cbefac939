"""Stand-ins for the CTK widgets of the panel; their properties and signals are named as CTK's are."""

from __future__ import annotations

from typing import Any

from PySide6 import QtCore, QtWidgets

from tests.slicer_extension.standin.pythonqt import python_qt_class

Widget = python_qt_class(QtWidgets.QWidget)
ToolButton = python_qt_class(QtWidgets.QToolButton)
Slider = python_qt_class(QtWidgets.QSlider)
DoubleSpinBox = python_qt_class(QtWidgets.QDoubleSpinBox)


class WithProperties:
    """Properties that Qt Designer's file sets come in as dynamic ones."""

    designer_properties: tuple[str, ...] = ()

    def take_properties(self) -> None:
        """Take the properties of a file that has been loaded."""
        for name in self.designer_properties:
            value = QtCore.QObject.property(self, name)
            if value is not None:
                setattr(self, name, value)


class ctkCollapsibleButton(WithProperties, Widget):
    """A header; what lies in it is hidden while it is collapsed, also what is shown or hidden meanwhile, as in CTK."""

    contentsCollapsed = QtCore.Signal(bool)
    slicer_signals = {"contentsCollapsed(bool)"}
    designer_properties = ("text", "collapsed")
    HEADER = 22

    def __init__(self, parent: Any = None) -> None:
        super().__init__(parent)
        self._collapsed, self._text, self._forcing = False, "", False
        self.setContentsMargins(0, self.HEADER, 0, 0)
        self._header = ToolButton(self)
        self._header.setToolButtonStyle(QtCore.Qt.ToolButtonTextBesideIcon)
        self._header.setAutoRaise(True)
        self._header.setGeometry(0, 0, 600, self.HEADER)
        self._header.clicked.connect(lambda: setattr(self, "collapsed", not self._collapsed))
        self._show()

    @property
    def text(self) -> str:
        return self._text

    @text.setter
    def text(self, value: str) -> None:
        self._text = value
        self._header.setText(value)

    @property
    def collapsed(self) -> bool:
        return self._collapsed

    @collapsed.setter
    def collapsed(self, value: bool) -> None:
        if bool(value) != self._collapsed:
            self._collapsed = bool(value)
            self._show()
            self.contentsCollapsed.emit(self._collapsed)

    def childEvent(self, event: Any) -> None:
        if event.type() == QtCore.QEvent.ChildAdded and event.child().isWidgetType():
            event.child().installEventFilter(self)

    def eventFilter(self, child: Any, event: Any) -> bool:
        kinds = (QtCore.QEvent.ShowToParent, QtCore.QEvent.HideToParent)
        if event.type() in kinds and not getattr(self, "_forcing", True) and child is not self._header:
            child.setProperty("visibilityToParent", event.type() == QtCore.QEvent.ShowToParent)
            self._show_child(child)
        return False

    def _show(self) -> None:
        self._header.setArrowType(QtCore.Qt.RightArrow if self._collapsed else QtCore.Qt.DownArrow)
        self.setMaximumHeight(self.HEADER if self._collapsed else 16777215)
        for child in self.findChildren(QtWidgets.QWidget, options=QtCore.Qt.FindDirectChildrenOnly):
            if child is not self._header and not child.isWindow():
                self._show_child(child)

    def _show_child(self, child: Any) -> None:
        wanted = child.property("visibilityToParent")
        self._forcing = True
        child.setVisible(not self._collapsed and wanted is not False)
        if wanted is not False:
            child.setAttribute(QtCore.Qt.WA_WState_ExplicitShowHide, False)
        self._forcing = False


class ctkSliderWidget(WithProperties, Widget):
    """A slider of floating point numbers with a box."""

    valueChanged = QtCore.Signal(float)
    slicer_signals = {"valueChanged(double)"}
    designer_properties = ("minimum", "maximum", "singleStep", "decimals", "suffix", "value")

    def __init__(self, parent: Any = None) -> None:
        super().__init__(parent)
        row = QtWidgets.QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        self.slider, self.box = Slider(QtCore.Qt.Horizontal), DoubleSpinBox()
        self.slider.setRange(0, 1000)
        row.addWidget(self.slider)
        row.addWidget(self.box)
        self.slider.valueChanged.connect(self._on_slider)
        self.box.valueChanged.connect(self._on_box)
        self._minimum, self._maximum = 0.0, 99.99
        self.singleStep, self.decimals = 1.0, 2
        self._range()

    def _range(self) -> None:
        self.box.setRange(self._minimum, self._maximum)

    def _on_slider(self, place: int) -> None:
        self.box.setValue(self._minimum + place / 1000 * (self._maximum - self._minimum))

    def _on_box(self, value: float) -> None:
        self.slider.blockSignals(True)
        width = self._maximum - self._minimum
        self.slider.setValue(round(1000 * (value - self._minimum) / width) if width else 0)
        self.slider.blockSignals(False)
        self.valueChanged.emit(value)

    @property
    def minimum(self) -> float:
        return self._minimum

    @minimum.setter
    def minimum(self, value: float) -> None:
        self._minimum = value
        self._range()

    @property
    def maximum(self) -> float:
        return self._maximum

    @maximum.setter
    def maximum(self, value: float) -> None:
        self._maximum = value
        self._range()

    @property
    def suffix(self) -> str:
        return QtCore.QObject.property(self.box, "suffix")

    @suffix.setter
    def suffix(self, value: str) -> None:
        self.box.setSuffix(value)

    @property
    def singleStep(self) -> float:
        return QtCore.QObject.property(self.box, "singleStep")

    @singleStep.setter
    def singleStep(self, value: float) -> None:
        self.box.setSingleStep(value)

    @property
    def decimals(self) -> int:
        return QtCore.QObject.property(self.box, "decimals")

    @decimals.setter
    def decimals(self, value: int) -> None:
        self.box.setDecimals(value)

    @property
    def value(self) -> float:
        return QtCore.QObject.property(self.box, "value")

    @value.setter
    def value(self, value: float) -> None:
        self.box.setValue(value)


class ctkRangeWidget(WithProperties, Widget):
    """Two ends of a range of floating point numbers."""

    valuesChanged = QtCore.Signal(float, float)
    slicer_signals = {"valuesChanged(double,double)"}
    designer_properties = (
        "minimum", "maximum", "singleStep", "decimals", "suffix", "minimumValue", "maximumValue",
    )  # fmt: skip

    def __init__(self, parent: Any = None) -> None:
        super().__init__(parent)
        row = QtWidgets.QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        self.boxes = (DoubleSpinBox(), DoubleSpinBox())
        for box in self.boxes:
            row.addWidget(box)
            box.valueChanged.connect(self._emit)
        self._minimum, self._maximum = 0.0, 99.0
        self.singleStep, self.decimals, self.suffix = 1.0, 2, ""
        self.setRange(0.0, 99.0)
        self.setValues(0.0, 99.0)

    def _emit(self, *_: Any) -> None:
        self.valuesChanged.emit(self.minimumValue, self.maximumValue)

    def setRange(self, low: float, high: float) -> None:
        self._minimum, self._maximum = low, high
        for box in self.boxes:
            box.setRange(low, high)

    def setValues(self, low: float, high: float) -> None:
        self.boxes[0].setValue(low)
        self.boxes[1].setValue(high)

    @property
    def minimum(self) -> float:
        return self._minimum

    @minimum.setter
    def minimum(self, value: float) -> None:
        self.setRange(value, self._maximum)

    @property
    def maximum(self) -> float:
        return self._maximum

    @maximum.setter
    def maximum(self, value: float) -> None:
        self.setRange(self._minimum, value)

    @property
    def minimumValue(self) -> float:
        return QtCore.QObject.property(self.boxes[0], "value")

    @minimumValue.setter
    def minimumValue(self, value: float) -> None:
        self.boxes[0].setValue(value)

    @property
    def maximumValue(self) -> float:
        return QtCore.QObject.property(self.boxes[1], "value")

    @maximumValue.setter
    def maximumValue(self, value: float) -> None:
        self.boxes[1].setValue(value)

    @property
    def suffix(self) -> str:
        return QtCore.QObject.property(self.boxes[0], "suffix")

    @suffix.setter
    def suffix(self, value: str) -> None:
        for box in self.boxes:
            box.setSuffix(value)

    @property
    def decimals(self) -> int:
        return QtCore.QObject.property(self.boxes[0], "decimals")

    @decimals.setter
    def decimals(self, value: int) -> None:
        for box in self.boxes:
            box.setDecimals(value)

    @property
    def singleStep(self) -> float:
        return QtCore.QObject.property(self.boxes[0], "singleStep")

    @singleStep.setter
    def singleStep(self, value: float) -> None:
        for box in self.boxes:
            box.setSingleStep(value)


CLASSES = {one.__name__: one for one in (ctkCollapsibleButton, ctkSliderWidget, ctkRangeWidget)}
