"""Values of DICOM headers made valid (PS3.5 6.2), or blank where nobody can tell what was meant.

Scanners, anonymisers and hand-written converters leave dates such as `1981/03/02`, the sex `Female` and numbers such
as `70,5`; strict programs refuse to write them again.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from datetime import date

IDENTIFIERS = (
    "PatientID",
    "IssuerOfPatientID",
    "AccessionNumber",
    "StudyID",
    "AdmissionID",
    "ServiceEpisodeID",
    "ClinicalTrialProtocolID",
    "ClinicalTrialSiteID",
    "ClinicalTrialSubjectID",
    "ClinicalTrialSubjectReadingID",
    "ClinicalTrialTimePointID",
    "LocalNamespaceEntityID",
    "UniversalEntityID",
    "CodeValue",
    "DeviceSerialNumber",
)
"""Where they are not valid they are left blank: cut or joined, they would name something else."""

LONGEST = {"SH": 16, "LO": 64, "CS": 16, "ST": 1024, "LT": 10240, "UC": 2**16, "UT": 2**20, "PN": 64, "UI": 64}
"""Characters; of names, in each of their three spellings."""

SEXES = {"M": "MALE MAN MASCULIN MASCULINO MÄNNLICH HOMME HOMBRE", "F": "FEMALE WOMAN FEMININ FÉMININ FEMENINO FEMME W",
         "O": "OTHER DIVERS DIVERSE D X"}  # fmt: skip
"""Words for the terms of `PatientSex`; `W` is weiblich on German scanners."""

_BLANK = "\0 \t\r\n\f\v"
_CONTROLS = re.compile(r"[\x00-\x1f\x7f-\x9f]")
_CONTROLS_OF_TEXT = re.compile(r"[\x00-\x08\x0b\x0e-\x1f\x7f-\x9f]")


def mend(keyword: str, vr: str, text: str, single: bool = True) -> list[str]:
    """Return the values of an element, valid or blank.

    Args:
        keyword: of the element.
        vr: its value representation.
        text: the decoded value, as in the file.
        single: whether it may hold one value only; several are joined then.

    Examples:
        >>> mend("PatientBirthDate", "DA", "1981/03/02"), mend("PatientSex", "CS", "Female")
        (['19810302'], ['F'])
    """
    if vr in ("ST", "LT", "UT"):
        return [_text(keyword, vr, text)]
    values = text.split("\\")
    if single and len(values) > 1:
        if keyword in IDENTIFIERS:
            return [""]
        plain = (_CONTROLS.sub("", value).strip() for value in values)
        joined = " ".join(value for value in plain if value)
        values = [joined if vr in ("PN", "LO", "SH", "UC") else values[0]]
    values = [_MENDERS.get(vr, _text)(keyword, vr, value.strip(_BLANK)) for value in values]
    return values if any(values) else [""]


def _text(keyword: str, vr: str, text: str) -> str:
    plain = (_CONTROLS_OF_TEXT if vr in ("ST", "LT", "UT") else _CONTROLS).sub("", text).rstrip(" ")
    longest = LONGEST.get(vr, 64)
    if keyword in IDENTIFIERS:
        return plain if len(plain) <= longest and plain == text.strip(_BLANK) else ""
    return plain[:longest].rstrip()


def _name(keyword: str, vr: str, text: str) -> str:
    """A name has up to three spellings of up to five parts."""
    groups = [_CONTROLS.sub("", group) for group in text.split("=")[:3]]
    shortened = []
    for group in groups:
        parts = [part.strip() for part in group.split("^")]
        parts = [*parts[:4], " ".join(parts[4:])] if len(parts) > 5 else parts
        shortened.append("^".join(parts)[: LONGEST["PN"]].rstrip())
    return "=".join(shortened) if any(group.strip("^") for group in shortened) else ""


def _code(keyword: str, vr: str, text: str) -> str:
    plain = re.sub(r"[\s\-]+", "_", text.upper()) if keyword != "PatientSex" else text.upper()
    if keyword == "PatientSex":
        return next((sex for sex, words in SEXES.items() if plain == sex or plain in words.split()), "")
    return plain if re.fullmatch(r"[A-Z0-9_]{0,16}", plain) else ""


def _date(keyword: str, vr: str, text: str) -> str:
    """Years first; days before months, or after, only where the numbers leave no choice."""
    found = re.fullmatch(r"(\d{4})(\d\d)(\d\d)(?:\d{4,6}(?:\.\d*)?)?", text)
    if found:
        return _calendar(*found.groups())
    found = re.fullmatch(r"(\d{4})([-/. ])(\d\d?)\2(\d\d?)(?:[T ].*)?", text)
    if found:
        return _calendar(found[1], found[3], found[4])
    found = re.fullmatch(r"(\d\d?)([-/. ])(\d\d?)\2(\d{4})", text)
    if not found:
        return ""
    choices = {_calendar(found[4], found[3], found[1]), _calendar(found[4], found[1], found[3])} - {""}
    return choices.pop() if len(choices) == 1 else ""


def _calendar(year: str, month: str, day: str) -> str:
    try:
        return f"{date(int(year), int(month), int(day)):%Y%m%d}".rjust(8, "0")
    except ValueError:
        return ""


def _time(keyword: str, vr: str, text: str) -> str:
    found = re.fullmatch(
        r"(\d\d)(?:([:.]?)(\d\d)(?:\2(\d\d)(?:[.,](\d*))?)?)?\s*([AaPp][Mm])?(?:Z|[+\-]\d\d:?\d\d)?", text
    )
    if not found:
        return ""
    hour, minute, second = (int(found[index] or 0) for index in (1, 3, 4))
    if found[6]:
        if not 1 <= hour <= 12:
            return ""
        hour = hour % 12 + 12 * (found[6].upper() == "PM")
    if hour > 23 or minute > 59 or second > 59:
        return ""
    shown = f"{hour:02d}" + (f"{minute:02d}" if found[3] else "") + (f"{second:02d}" if found[4] else "")
    return f"{shown}.{found[5][:6]}" if found[5] else shown


def _age(keyword: str, vr: str, text: str) -> str:
    found = re.fullmatch(r"0*(\d{1,3})\s*(?:([DWMY])|(day|week|month|year)s?)", text, re.IGNORECASE)
    return f"{int(found[1]):03d}{(found[2] or found[3][0]).upper()}" if found else ""


def _decimal(keyword: str, vr: str, text: str) -> str:
    plain = text.replace(",", ".")
    try:
        value = float(plain)
    except ValueError:
        return ""
    if not math.isfinite(value) or "_" in plain:
        return ""
    if len(plain) <= 16 and re.fullmatch(r"[+\-]?\d*\.?\d*([eE][+\-]?\d+)?", plain):
        return plain
    return next((word for digits in range(14, 1, -1) if len(word := f"{value:.{digits}g}") <= 16), "")


def _integer(keyword: str, vr: str, text: str) -> str:
    decimal = _decimal(keyword, vr, text)
    if not decimal or float(decimal) % 1 or abs(float(decimal)) >= 2**31:
        return ""
    return str(int(float(decimal)))


def _date_time(keyword: str, vr: str, text: str) -> str:
    valid = re.fullmatch(r"(\d{8})(\d\d(?:[0-5]\d(?:[0-5]\d(?:\.\d{1,6})?)?)?)?([+\-]\d{4})?", text)
    return text if valid and _date(keyword, vr, valid[1]) and int((valid[2] or "00")[:2]) < 24 else ""


def _uid(keyword: str, vr: str, text: str) -> str:
    return text if re.fullmatch(r"(0|[1-9]\d*)(\.(0|[1-9]\d*))*", text) and len(text) <= LONGEST["UI"] else ""


def _web(keyword: str, vr: str, text: str) -> str:
    return text if re.fullmatch(r"[A-Za-z0-9_:/?#\[\]@!$&'()*+,;=%\-.~]*", text) else ""


_MENDERS: dict[str, Callable[[str, str, str], str]] = {
    "PN": _name,
    "CS": _code,
    "DA": _date,
    "TM": _time,
    "DT": _date_time,
    "AS": _age,
    "DS": _decimal,
    "IS": _integer,
    "UI": _uid,
    "UR": _web,
}
