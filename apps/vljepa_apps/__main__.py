"""`python -m vljepa_apps` is `vljepa`."""

import sys

from vljepa_apps.main import main

sys.exit(main())
