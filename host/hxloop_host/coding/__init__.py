"""How samples become input spikes, one file a coding."""
