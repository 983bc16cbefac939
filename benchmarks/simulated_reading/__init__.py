"""A reader who corrects a label as people do: a short stroke where the label is most wrong."""
