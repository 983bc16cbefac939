"""Sessions of MONAI Label: volumes that a client sends once and segments several times, without the datastore."""

from __future__ import annotations

import re
import shutil
import time
from pathlib import Path
from typing import Any

from monailabel.utils.sessions import SessionInfo, Sessions

SESSION_PATTERN = r"^[0-9a-f][0-9a-f-]{7,63}\Z"


def is_session_id(text: object) -> bool:
    """Tell whether this can be the id of a session: MONAI Label joins it to a path."""
    return isinstance(text, str) and re.match(SESSION_PATTERN, text) is not None


class SafeSessions(Sessions):
    """Sessions whose ids lead nowhere else, and that outlive a half-written one."""

    def get_session(self, session_id: str, update_ts: bool = True, fetch_cache: bool = True) -> SessionInfo | None:
        """Return the session, or None if there is none or it cannot be read."""
        if not is_session_id(session_id):
            return None
        try:
            return super().get_session(session_id, update_ts, fetch_cache)
        except (OSError, ValueError, TypeError):
            return None

    def remove_session(self, session_id: str) -> None:
        """Remove a session and its files."""
        if is_session_id(session_id):
            super().remove_session(session_id)

    def remove_expired(self) -> int:
        """Remove sessions that nobody has used for the time they were given, and what is left of broken ones.

        Returns:
            How many.
        """
        folder, count = Path(self.store_path), 0
        for path in [path for path in folder.glob("*") if path.is_dir()] if folder.is_dir() else []:
            info: Any = self.get_session(path.name, update_ts=False, fetch_cache=False)
            if info is None or _expired(info):
                self.pop(path.name, None)
                shutil.rmtree(path, ignore_errors=True)
                count += 1
        return count


def _expired(info: SessionInfo) -> bool:
    return info.expiry > 0 and info.last_access_ts + info.expiry < time.time()
