"""What varies between synapse rows and synapses."""
