"""Codes in DICOM results, and the private schemes that they come from (PS3.3 C.12.1.1.7)."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import TYPE_CHECKING

from pydicom import Dataset

from monai_semgan.organs import OWN_SCHEME, Code, CodingScheme

if TYPE_CHECKING:
    from pydicom import DataElement

KEYWORD = "CodingSchemeIdentificationSequence"

REFERENCE_SCHEME = CodingScheme("99SEMGANREF", "Purposes of references in results of monai_semgan", "monai_semgan")
"""Apart from `OWN_SCHEME`, whose codes are made of names that users choose."""


def code_item(code: Code) -> Dataset:
    """Make the item of a code sequence."""
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = code.value, code.scheme, code.meaning
    return item


def declare_coding_schemes(dataset: Dataset, source: Dataset, skipped: Collection[str] = ()) -> None:
    """Tell what the private coding schemes of a result are: our own ones, and those that its source tells of.

    Designators that are not in the standard mean nothing to others unless the file says who answers for them. The
    standard's own need no item.

    Args:
        dataset: of the result; gets the sequence where there is anything to tell.
        source: header of the scan whose codes were copied.
        skipped: keywords of sequences without private codes that are long.
    """
    used = set(_designators(element for element in dataset if element.keyword not in skipped))
    told = {str(item.get("CodingSchemeDesignator", "")): item for item in source.get(KEYWORD) or ()}
    told |= {scheme.designator: _scheme_item(scheme) for scheme in (OWN_SCHEME, REFERENCE_SCHEME)}
    items = [told[designator] for designator in sorted(used & set(told))]
    if items:
        setattr(dataset, KEYWORD, items)


def _scheme_item(scheme: CodingScheme) -> Dataset:
    item = Dataset()
    item.CodingSchemeDesignator, item.CodingSchemeName = scheme.designator, scheme.name
    item.CodingSchemeResponsibleOrganization = scheme.organisation
    return item


def _designators(elements: Iterator[DataElement]) -> Iterator[str]:
    for element in elements:
        if element.keyword == "CodingSchemeDesignator":
            yield str(element.value)
        elif element.VR == "SQ" and element.keyword != KEYWORD:
            for item in element.value:
                yield from _designators(iter(item))
