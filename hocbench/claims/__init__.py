"""The paper's claims as data, and what was measured says about them."""
