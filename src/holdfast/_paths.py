"""Makes ``holdfast.engine`` and its siblings importable from a checkout. Imported first, for this effect.

In an installed wheel they lie beside this file and nothing is to be done. In a checkout they are folders of the
repository root. That goes onto ``holdfast.__path__`` and not onto ``sys.path``: so ``import engine`` stays an error.
"""

from pathlib import Path

import holdfast

_HERE = Path(__file__).resolve().parent
_ROOT = _HERE.parents[1]

if not (_HERE / "engine" / "__init__.py").is_file() and (_ROOT / "engine" / "__init__.py").is_file():
    holdfast.__path__.append(str(_ROOT))
