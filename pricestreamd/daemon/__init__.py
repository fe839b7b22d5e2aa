"""It comes to life: build, run, reload, stop."""
