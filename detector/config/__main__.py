"""`python -m detector.config` writes the reference file, `config/detector.yaml`."""

import sys

from detector.config import reference

sys.stdout.write(reference())
