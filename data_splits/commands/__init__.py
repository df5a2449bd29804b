"""The subcommands of `data-splits`: one module each, with `add_parser` and `run`."""
