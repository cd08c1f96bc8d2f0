"""Where journals are kept: one journal over three stores (memory, files, Redis), and one rule for all of them."""
