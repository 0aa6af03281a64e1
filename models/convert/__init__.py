"""Converts weights of other programs to files of this project, without running what they hold."""

from .conversion import convert
from .report import Report

__all__ = ["Report", "convert"]
