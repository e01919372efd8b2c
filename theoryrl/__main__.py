"""``python -m theoryrl`` is ``theoryrl``."""

from theoryrl.cli import main

if __name__ == "__main__":
    main(prog_name="theoryrl")
