"""Reports of a segmentation, or of its correction: one HTML page to look at, one JSON file for programs."""

from monai_semgan.outputs.report.content import ReportContent, report_content
from monai_semgan.outputs.report.correction_page import CorrectedLabel, CorrectionContent, write_correction_report
from monai_semgan.outputs.report.rendering import ReportFiles, write_report

__all__ = [
    "CorrectedLabel",
    "CorrectionContent",
    "ReportContent",
    "ReportFiles",
    "report_content",
    "write_correction_report",
    "write_report",
]
