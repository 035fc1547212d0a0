"""Makes ``holdfast.engine`` and its siblings importable from a checkout, where they are folders of the repository root.

In an installed wheel they lie beside this file and there is nothing to do. In a checkout the repository root is appended to
``holdfast.__path__``, and not to ``sys.path``: so a forgotten ``import engine`` stays an error.
"""

from pathlib import Path

PACKAGES = ("engine", "statecharts", "adapters", "diagrams")


def add_checkout_root(package_path: list[str]) -> None:
    """Append the repository root to ``package_path`` unless the packages are installed beside this file."""
    here = Path(__file__).resolve().parent
    root = here.parents[1]
    if not (here / "engine" / "__init__.py").is_file() and (root / "engine" / "__init__.py").is_file():
        package_path.append(str(root))
