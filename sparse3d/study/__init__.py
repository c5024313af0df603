"""Tables of pre-trainings, tasks, label fractions and seeds: what ``tools/study.py`` expands, runs and reports."""
