"""Where the installed program starts: it finds its own `logger`, whoever else has one.

`logger` is a common name: a `logger.py` lies in many directories, and another distribution
installs a package of that name. An installed program therefore keeps its package in a
directory of its own, `lib`, which comes first; in a checkout it is the checkout.
"""

from __future__ import annotations

import sys
from pathlib import Path


def main() -> None:
    """Run the command line `inepro-logger`."""
    here = Path(__file__).resolve().parent
    home = here / "lib" if (here / "lib").is_dir() else here.parent
    sys.path.insert(0, str(home))
    # Something that Python loads at its start may have taken the name already.
    found = getattr(sys.modules.get("logger"), "__file__", None) or ""
    if Path(found) != home / "logger" / "__init__.py":
        for name in [name for name in sys.modules if name.split(".")[0] == "logger"]:
            del sys.modules[name]
    from logger.__main__ import main as run

    run()
