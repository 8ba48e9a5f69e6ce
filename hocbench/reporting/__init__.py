"""Tables, figures and what goes with them."""
