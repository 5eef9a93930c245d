"""`python -m gateway` is `carebed`."""

import sys

from gateway.cli import main

sys.exit(main())
