//! Found bugs, each kept for ever as the run that found it.
