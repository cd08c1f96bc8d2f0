"""Read by every Python process that a test starts: a warning from our own code is an error there too."""

import warnings

warnings.filterwarnings("error", module=r"(bot|cli|config|incident|playbooks|practice|workers)(\.|$)")
