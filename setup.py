"""The part of the build that needs a program: decoders compiled with mypyc, where `IOC_COMPILE` asks for it.

Everything else about the package stands in pyproject.toml, how compiled modules are found in ioc/compiled.py.
"""

import os
import sys
from pathlib import Path

from setuptools import setup


def compiled_modules() -> list[object]:
    """Return the extension modules to build: none unless they are asked for."""
    if not os.environ.get("IOC_COMPILE"):
        return []
    root = Path(__file__).parent
    sys.path.insert(0, str(root))  # a build backend does not look here
    from mypyc.build import mypycify

    from ioc.compiled import sources

    names = [str(path.relative_to(root)) for path in sources()]
    # In one C file, where decoders call each other and what they share directly.
    return mypycify(names, debug_level="0", group_name="ioc_decoders", target_dir="build/mypyc")


setup(ext_modules=compiled_modules())
