"""Online training through time: traces of sources times errors of the moment."""
