"""Tables, figures and page of a study."""
