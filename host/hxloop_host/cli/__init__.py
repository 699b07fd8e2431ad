"""Commands of `hxloop` that need the host; each module holds one `typer.Typer` per command and imports little."""
