"""The version, where every floor may read it: the door of the package imports all of them."""

__version__ = "0.2.0"
