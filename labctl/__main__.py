"""``python -m labctl``: the same as the command ``labctl``."""

from labctl.cli import main

raise SystemExit(main())
