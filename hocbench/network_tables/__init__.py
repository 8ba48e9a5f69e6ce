"""Tables about networks alone: parameter counts and blocks as special cases. They build the networks, so need torch."""
