"""The panel: Qt widgets on top of the logic's protocol. Needs `qt` and `slicer`."""
