"""Where the sample configurations are: in the package when installed, beside it in a checkout."""

from __future__ import annotations

from pathlib import Path

import pricestreamd


def sample(name: str) -> Path:
    """The file of the sample `name`, such as `demo.yaml`."""
    package = Path(pricestreamd.__file__).parent
    installed = package / "samples" / name
    return installed if installed.exists() else package.parent / "config" / name
