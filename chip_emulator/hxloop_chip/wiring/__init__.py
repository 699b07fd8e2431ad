"""From a configuration to neurons, synapses, generators and links."""
