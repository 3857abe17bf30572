"""Whether a run may pass, and the documents that say so."""
