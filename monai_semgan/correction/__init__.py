"""Corrections of a label by strokes: what is drawn stays, and the anatomy around it follows."""
