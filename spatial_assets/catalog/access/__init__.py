"""Access to a catalogue's documents and files: hrefs, allowed hosts, signing, HTTP and versions."""
