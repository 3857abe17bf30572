"""A local page on a finished run: look at pairs, judge them, and apply the judgement."""
