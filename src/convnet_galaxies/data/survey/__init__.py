"""Survey tiles to cutouts: files of any size, read by windows at positions of a catalogue."""
