"""Reports of a segmentation: one HTML page to look at, one JSON file for programs."""

from monai_semgan.outputs.report.content import ReportContent, report_content
from monai_semgan.outputs.report.rendering import ReportFiles, write_report

__all__ = ["ReportContent", "ReportFiles", "report_content", "write_report"]
