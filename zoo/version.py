"""The version of genae that runs."""

from importlib.metadata import PackageNotFoundError, version

try:
    __version__ = version("genae")
except PackageNotFoundError:
    __version__ = "0+unknown"  # a checkout that was not installed
