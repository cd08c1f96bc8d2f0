"""Two paired Lync sites as processes: each knows only itself and what its partner tells it over a socket."""
