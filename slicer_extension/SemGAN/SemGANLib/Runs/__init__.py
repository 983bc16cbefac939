"""Previews and refinements under way: from the volume that is sent to the result in the scene."""
