"""Installs the packages of one extra of pyproject.toml and of the project itself, without building it.

usage: python tools/install_extra.py lint
"""

import subprocess
import sys
import tomllib
from pathlib import Path


def main() -> int:
    with open(Path(__file__).parents[1] / "pyproject.toml", "rb") as file:
        project = tomllib.load(file)["project"]
    packages = project["dependencies"] + project["optional-dependencies"][sys.argv[1]]
    return subprocess.call([sys.executable, "-m", "pip", "install", "-q", *packages])


if __name__ == "__main__":
    sys.exit(main())
