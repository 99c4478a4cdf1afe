"""python -m versant: the same as the command `versant`."""

import sys

from versant.cli import main

sys.exit(main())
