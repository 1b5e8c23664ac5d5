//! Tests of the whole core: golden scripts, rules of the paper, random schedules, properties.

mod schedules;
mod scripts;
