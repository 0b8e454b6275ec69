"""``python -m trunkline`` and the ``trunkline`` command."""

from trunkline.cli import main

__all__ = ["main"]

if __name__ == "__main__":
    main()
