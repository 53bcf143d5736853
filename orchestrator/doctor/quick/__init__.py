"""The checks of `doctor --quick`: the full `doctor` makes the very same ones. Standard library only."""
