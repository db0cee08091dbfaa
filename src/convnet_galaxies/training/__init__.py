"""An image set and a net to a run folder."""
