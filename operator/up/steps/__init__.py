"""The kinds of steps a tour is made of, one function each: ``(step, place) -> Verified``, raising StepFailed."""
