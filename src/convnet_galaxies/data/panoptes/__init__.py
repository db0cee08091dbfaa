"""Classification exports of Zooniverse (Panoptes): CSV with JSON in its cells, to votes, clicks and yes/no answers."""
