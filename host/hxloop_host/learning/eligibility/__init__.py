"""e-prop: eligibility of synapses, and a learning signal that is broadcast to neurons."""
