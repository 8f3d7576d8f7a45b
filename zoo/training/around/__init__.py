"""What stands around an optimizer's step: averages, lookahead, lazy rows; LAMB and schedules."""
