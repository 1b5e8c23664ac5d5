//! The search for an order: Wing and Gong's depth-first walk with Lowe's memo, without recursion.
//!
//! The walk keeps the not yet ordered definite operations as a linked list of events. The
//! candidates for the next place are the invocations before the first return in that list (a return
//! marks an operation that must be ordered before anything invoked after it), and then the open
//! writes invoked before it. Operations that only look are placed as soon as they fit, which loses
//! no order: placing them earlier changes nothing for the others. When no candidate fits, the walk
//! takes back its last choice and goes on behind it.

use super::bits::Bits;
use super::events::EventList;
use super::memo::Memo;
use super::register::{ABSENT, Event, Part, Place, Value};

/// How a search ended.
pub(super) enum Found {
    /// An order exists.
    Order,
    /// None exists.
    None(Dead),
    /// The budget ran out first.
    Budget,
}

/// The furthest point the search reached: the longest explainable part of the history.
#[derive(Clone, Debug, Default)]
pub(super) struct Dead {
    /// The operations in the order that worked so far.
    pub(super) order: Vec<Place>,
    /// The definite operations any of which would have had to come next.
    pub(super) candidates: Vec<usize>,
    definite_count: usize,
}

/// The outcome and how many configurations it took.
pub(super) struct Searched {
    pub(super) found: Found,
    pub(super) configuration_count: usize,
}

/// Searches one key. See the module above for the rules.
pub(super) fn search(part: &Part<'_>, budget: usize) -> Searched {
    let mut walk = Walk::new(part, budget);
    let found = walk.run();
    Searched { found, configuration_count: walk.memo.len() }
}

/// Where the walk looks next for a candidate.
#[derive(Clone, Copy)]
enum Cursor {
    /// At this entry of the event list.
    Event(usize),
    /// At this open write.
    Open(usize),
}

/// What came of trying one candidate.
enum Tried {
    Taken,
    Refused,
    OverBudget,
}

/// One step of the order found so far.
struct Step {
    place: Place,
    /// The register before it.
    before: Value,
    /// Placed because it fitted, not chosen: taken back together with the choice before it.
    is_absorbed: bool,
}

struct Walk<'a> {
    part: &'a Part<'a>,
    budget: usize,
    list: EventList,
    done: Bits,
    done_open: Bits,
    done_count: usize,
    state: Value,
    steps: Vec<Step>,
    memo: Memo,
    furthest: Option<Dead>,
}

impl<'a> Walk<'a> {
    fn new(part: &'a Part<'a>, budget: usize) -> Self {
        Self {
            part,
            budget,
            list: EventList::new(&part.events, part.definite.len()),
            done: Bits::new(part.definite.len()),
            done_open: Bits::new(part.open.len()),
            done_count: 0,
            state: ABSENT,
            steps: Vec::new(),
            memo: Memo::default(),
            furthest: None,
        }
    }

    fn run(&mut self) -> Found {
        self.absorb();
        let mut cursor = Cursor::Event(self.list.first());
        while !self.is_complete() {
            let (place, behind) = match cursor {
                Cursor::Event(entry) => match self.part.events[entry] {
                    Event::Invoke(op) => {
                        (Place::Definite(op), Cursor::Event(self.list.after(entry)))
                    }
                    Event::Return(_) => {
                        cursor = Cursor::Open(0);
                        continue;
                    }
                },
                Cursor::Open(open) if open < self.open_end() => {
                    (Place::Open(open), Cursor::Open(open + 1))
                }
                Cursor::Open(_) => {
                    self.note_furthest();
                    match self.take_back() {
                        Some(behind) => {
                            cursor = behind;
                            continue;
                        }
                        None => return Found::None(self.furthest.take().unwrap_or_default()),
                    }
                }
            };
            cursor = match self.attempt(place) {
                Tried::Taken => Cursor::Event(self.list.first()),
                Tried::Refused => behind,
                Tried::OverBudget => return Found::Budget,
            };
        }
        Found::Order
    }

    fn is_complete(&self) -> bool {
        self.done_count == self.part.definite.len()
    }

    /// Puts the operation next, if its answer agrees and the configuration this leads to is new.
    fn attempt(&mut self, place: Place) -> Tried {
        let Some(next) = self.part.call(place).step(self.state) else { return Tried::Refused };
        if let Place::Open(open) = place
            && (next == self.state
                || !self.is_next_of_its_kind(open)
                || !self.is_noticed(open, next))
        {
            return Tried::Refused;
        }
        self.push(place, next, false);
        self.absorb();
        if self.is_complete() {
            return Tried::Taken;
        }
        if !self.memo.insert(self.state, &self.done, &self.done_open) {
            // Seen from elsewhere, and it led nowhere or is being tried further down the stack.
            self.take_back();
            return Tried::Refused;
        }
        if self.memo.len() > self.budget { Tried::OverBudget } else { Tried::Taken }
    }

    /// Of open writes that do the same, only the earliest left is tried.
    fn is_next_of_its_kind(&self, open: usize) -> bool {
        !self.done_open.contains(open)
            && self.part.open[open].twin.is_none_or(|twin| self.done_open.contains(twin))
    }

    /// Whether some other candidate could come directly behind the open write and tell the
    /// difference.
    fn is_noticed(&self, open: usize, next: Value) -> bool {
        self.candidates().any(|op| {
            let call = self.part.definite[op].call;
            !call.is_blind() && call.step(next).is_some()
        }) || (0..self.open_end()).any(|other| {
            let call = self.part.open[other].call;
            other != open
                && !self.done_open.contains(other)
                && !call.is_blind()
                && call.step(next).is_some_and(|after| after != next)
        })
    }

    /// Places every candidate that only looks and sees what is there.
    fn absorb(&mut self) {
        while !self.is_complete() {
            let fitting = self.candidates().find(|&op| {
                let call = self.part.definite[op].call;
                call.is_pure() && call.step(self.state).is_some()
            });
            match fitting {
                Some(op) => self.push(Place::Definite(op), self.state, true),
                None => return,
            }
        }
    }

    /// The definite operations invoked before the first return.
    fn candidates(&self) -> impl Iterator<Item = usize> {
        let mut entry = self.list.first();
        std::iter::from_fn(move || match self.part.events[entry] {
            Event::Invoke(op) => {
                entry = self.list.after(entry);
                Some(op)
            }
            Event::Return(_) => None,
        })
    }

    /// How many open writes were invoked before the first return: they are sorted by invocation, so
    /// the candidates are those before this index.
    fn open_end(&self) -> usize {
        let first_return = self.list.first_return(&self.part.events);
        self.part.open.partition_point(|write| write.position <= first_return)
    }

    fn note_furthest(&mut self) {
        if self.furthest.as_ref().is_some_and(|dead| dead.definite_count >= self.done_count) {
            return;
        }
        self.furthest = Some(Dead {
            order: self.steps.iter().map(|step| step.place).collect(),
            candidates: self.candidates().collect(),
            definite_count: self.done_count,
        });
    }

    fn push(&mut self, place: Place, next: Value, is_absorbed: bool) {
        self.steps.push(Step { place, before: self.state, is_absorbed });
        self.state = next;
        match place {
            Place::Definite(op) => {
                self.done.insert(op);
                self.done_count += 1;
                self.list.lift(op);
            }
            Place::Open(open) => self.done_open.insert(open),
        }
    }

    /// Undoes the last choice and what was absorbed after it. The cursor behind that choice, or
    /// `None` when there was no choice left.
    fn take_back(&mut self) -> Option<Cursor> {
        loop {
            let step = self.steps.pop()?;
            self.state = step.before;
            let behind = match step.place {
                Place::Definite(op) => {
                    self.done.remove(op);
                    self.done_count -= 1;
                    self.list.put_back(op);
                    Cursor::Event(self.list.after_invocation(op))
                }
                Place::Open(open) => {
                    self.done_open.remove(open);
                    Cursor::Open(open + 1)
                }
            };
            if !step.is_absorbed {
                return Some(behind);
            }
        }
    }
}
