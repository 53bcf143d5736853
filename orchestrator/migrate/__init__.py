"""Old files to new places: survey, plan, check, apply, rollback, finalize; needs neither config nor state."""
