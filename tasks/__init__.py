"""What flows are made of: Prefect stages (`stages/`) over machinery that serves both problems alike."""
