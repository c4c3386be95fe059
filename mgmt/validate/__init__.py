"""`validate`: manifests checked offline with the code that the server runs."""

from mgmt.validate.report import Finding, Level, Report, render
from mgmt.validate.validation import validate_path

__all__ = ["Finding", "Level", "Report", "render", "validate_path"]
