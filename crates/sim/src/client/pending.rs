//! One operation of a client under way: what was asked, and what its answer means.
//!
//! The rules of honest histories live here: an operation is recorded when it is first sent, ends
//! with the answer of whichever try came back, and stays open for ever when none does.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use kontiki_client::ask::{Columns, Direction, Found, Read, Scan};
use kontiki_testkit::{OpId, Operation, Outcome as Told};
use kontiki_types::{ClientId, Command, Outcome, Refusal, Region, RegionId, RequestId, StoreId};

use crate::check::{Added, AdditionId};
use crate::cluster::region_of;
use crate::env::Env;
use crate::marks::Mark;
use crate::violation::Rule;
use crate::wire::Answer;

use super::workload::{Change, counter_key, element_of, full, set_range};

/// An operation under way.
#[derive(Debug)]
pub struct Pending {
    /// What was asked.
    pub what: What,
    /// Of which group.
    pub group: RegionId,
    /// The session of a write.
    pub session: Option<ClientId>,
    /// The call that waits for an answer; 0 when none does.
    pub call: u64,
    /// Calls made so far.
    pub tries: u32,
    /// Where the last one went.
    pub target: StoreId,
    /// Any replica may answer.
    pub is_anywhere: bool,
    /// It began together with another one, which goes on for both.
    pub is_extra: bool,
    /// It began when all faults were over: nothing excuses its failure.
    pub is_last: bool,
}

/// What was asked.
#[derive(Debug)]
pub enum What {
    /// A read of a register.
    Get {
        /// Its key.
        key: String,
        /// Its record.
        record: OpId,
    },
    /// A read of a counter.
    CounterRead {
        /// Which.
        counter: usize,
        /// When it was first sent.
        invoked_at: u64,
        /// A swap follows.
        is_swapped: bool,
    },
    /// A read of a whole set.
    SetRead {
        /// Which.
        set: String,
        /// When it was first sent.
        invoked_at: u64,
    },
    /// Writes that travel together.
    Write(Vec<Part>),
}

/// One write.
#[derive(Debug)]
pub struct Part {
    /// Its id, the same for every try.
    pub request: RequestId,
    /// What the store is asked.
    pub command: Command,
    record: Record,
}

/// Where a write is recorded.
#[derive(Debug)]
enum Record {
    Registers(Change, Vec<OpId>),
    Increment(AdditionId),
    Element(AdditionId),
}

/// What an answer means for an operation.
#[derive(Debug)]
pub enum Ended {
    /// It is over.
    Yes,
    /// It is over, and the swap of this counter from this value follows.
    Then(usize, Option<i64>),
    /// It is not known whether it took effect, and never will be.
    SessionUnknown,
    /// Try again; these are the current regions, if the answer told.
    No(Vec<Region>),
}

impl Pending {
    /// A read of a register.
    pub fn get(key: String, is_anywhere: bool, client: u64, env: &mut Env) -> Self {
        let record = env.book.invoke(client, &key, Operation::Get, env.count);
        let group = region_of(&key);
        Self { is_anywhere, ..Self::new(What::Get { key, record }, group, None, env) }
    }

    /// A read of a counter.
    pub fn counter_read(counter: usize, is_swapped: bool, env: &mut Env) -> Self {
        let group = region_of(&counter_name(counter, env));
        let what = What::CounterRead { counter, invoked_at: env.count, is_swapped };
        Self::new(what, group, None, env)
    }

    /// A read of a whole set.
    pub fn set_read(set: String, is_anywhere: bool, env: &mut Env) -> Self {
        let group = region_of(&set);
        let what = What::SetRead { set, invoked_at: env.count };
        Self { is_anywhere, ..Self::new(what, group, None, env) }
    }

    /// A swap that adds one to a counter.
    pub fn counter_swap(
        counter: usize,
        value: Option<i64>,
        session: ClientId,
        request: RequestId,
        env: &mut Env,
    ) -> Self {
        let key = counter_name(counter, env);
        let command = Command::CompareAndPut {
            key: full(&key),
            expect: value.map(counter_value),
            update: Some(counter_value(value.unwrap_or(0) + 1)),
        };
        let increment = env.book.begin_addition(Added::One(counter), env.count);
        let record = Record::Increment(increment);
        let what = What::Write(vec![Part { request, command, record }]);
        Self::new(what, region_of(&key), Some(session), env)
    }

    /// Writes that travel together, with ids from `first`.
    pub fn write(
        changes: Vec<Change>,
        session: ClientId,
        first: RequestId,
        client: u64,
        env: &mut Env,
    ) -> Self {
        let group = changes.first().expect("some changes").group();
        let numbered = (first.0..).map(RequestId).zip(changes);
        let parts = numbered.map(|(request, change)| Part {
            request,
            command: change.command(),
            record: record(change, client, env),
        });
        let parts = parts.collect();
        Self::new(What::Write(parts), group, Some(session), env)
    }

    fn new(what: What, group: RegionId, session: Option<ClientId>, env: &Env) -> Self {
        Self {
            what,
            group,
            session,
            call: 0,
            tries: 0,
            target: StoreId(1),
            is_anywhere: false,
            is_extra: false,
            is_last: env.is_healed,
        }
    }

    /// It certainly did not happen and never will.
    pub fn fail(&self, env: &mut Env) {
        match &self.what {
            What::Get { record, .. } => env.book.fail(*record),
            What::CounterRead { .. } | What::SetRead { .. } => {}
            What::Write(parts) => {
                for part in parts {
                    match &part.record {
                        Record::Registers(_, records) => {
                            for &record in records {
                                env.book.fail(record);
                            }
                        }
                        Record::Increment(addition) | Record::Element(addition) => {
                            env.book.end_addition(*addition, false, env.count);
                        }
                    }
                }
            }
        }
    }

    /// What a read asks.
    ///
    /// # Panics
    /// When it is a write.
    pub fn read(&self, env: &Env) -> Read {
        match &self.what {
            What::Get { key, .. } => Read::Get(full(key)),
            What::CounterRead { counter, .. } => Read::Get(full(&counter_name(*counter, env))),
            What::SetRead { set, .. } => Read::Scan(Scan {
                range: set_range(set),
                direction: Direction::Forward,
                row_limit: 0,
                columns: Columns::Keys,
            }),
            What::Write(_) => panic!("{self:?} is no read"),
        }
    }

    /// The lowest request id of a write.
    pub fn lowest_request(&self) -> Option<RequestId> {
        match &self.what {
            What::Write(parts) => parts.iter().map(|part| part.request).min(),
            _ => None,
        }
    }

    /// Gives every write a new id: the mistake of a client that does not know about sessions.
    pub fn renumber(&mut self, next: &mut RequestId) {
        if let What::Write(parts) = &mut self.what {
            for part in parts {
                part.request = *next;
                next.0 += 1;
            }
        }
    }

    /// In words.
    pub fn describe(&self) -> String {
        format!("{:?}, {} tries, last at {}", self.what, self.tries, self.target)
    }

    /// What this answer means; records it if it ends the operation.
    pub fn on_answer(
        &mut self,
        answer: Answer,
        seen: &mut BTreeMap<String, Bytes>,
        env: &mut Env,
    ) -> Ended {
        match (&self.what, answer) {
            (What::Get { key, record }, Answer::Found(Found::Value(value))) => {
                remember(seen, key, value.as_ref());
                env.book.ok(*record, Told::Value(value), env.count);
                Ended::Yes
            }
            (
                What::SetRead { set, invoked_at },
                Answer::Found(Found::Rows { rows, more: false }),
            ) => {
                on_set(set, *invoked_at, &rows, env);
                Ended::Yes
            }
            (
                &What::CounterRead { counter, invoked_at, is_swapped },
                Answer::Found(Found::Value(value)),
            ) => {
                let Some(value) = value.map(|v| parse_counter(&v)) else {
                    env.book.read_counter(counter, 0, invoked_at, env.count);
                    return if is_swapped { Ended::Then(counter, None) } else { Ended::Yes };
                };
                let Some(value) = value else {
                    env.fail(Rule::AnswerForm, format!("counter {counter} holds no number"));
                    return Ended::Yes;
                };
                env.book.read_counter(counter, value, invoked_at, env.count);
                if is_swapped { Ended::Then(counter, Some(value)) } else { Ended::Yes }
            }
            (What::Write(parts), Answer::Outcomes(outcomes)) => {
                on_outcomes(parts, outcomes, seen, env)
            }
            (what, answer) => {
                env.fail(Rule::AnswerForm, format!("{what:?} was answered by {answer:?}"));
                Ended::Yes
            }
        }
    }
}

/// A whole set was read.
fn on_set(set: &str, invoked_at: u64, rows: &[(Bytes, Bytes)], env: &mut Env) {
    let elements = rows.iter().map(|(key, _)| element_of(set, key));
    match elements.collect::<Option<BTreeSet<u64>>>() {
        Some(elements) => {
            if !elements.is_empty() {
                env.marks.hit(Mark::SetRead);
            }
            env.book.read_set(set, elements, invoked_at, env.count);
        }
        None => env.fail(Rule::AnswerForm, format!("no elements of {set}: {rows:?}")),
    }
}

/// Records a write that is sent for the first time.
fn record(change: Change, client: u64, env: &mut Env) -> Record {
    if let Change::Add(set, element) = change {
        let added = Added::Element(set, element);
        return Record::Element(env.book.begin_addition(added, env.count));
    }
    let operations = operations(&change).into_iter();
    let records =
        operations.map(|(key, operation)| env.book.invoke(client, &key, operation, env.count));
    let records = records.collect();
    Record::Registers(change, records)
}

fn on_outcomes(
    parts: &[Part],
    outcomes: Vec<Outcome>,
    seen: &mut BTreeMap<String, Bytes>,
    env: &mut Env,
) -> Ended {
    if parts.len() != outcomes.len() {
        let (asked, told) = (parts.len(), outcomes.len());
        env.fail(Rule::AnswerForm, format!("{asked} writes, {told} outcomes"));
        return Ended::Yes;
    }
    for outcome in &outcomes {
        match outcome {
            Outcome::Refused(Refusal::EpochNotMatch(regions)) => {
                return Ended::No(regions.clone());
            }
            Outcome::Refused(Refusal::SessionFull) => return Ended::No(Vec::new()),
            Outcome::Refused(Refusal::SessionUnknown) => return Ended::SessionUnknown,
            Outcome::Refused(refusal) => {
                let requests: Vec<_> = parts.iter().map(|part| part.request).collect();
                env.fail(
                    Rule::AnswerForm,
                    format!("outstanding requests {requests:?} were refused: {refusal:?}"),
                );
                return Ended::Yes;
            }
            Outcome::Done | Outcome::Removed(_) | Outcome::Conditional { .. } => {}
        }
    }
    for (part, outcome) in parts.iter().zip(outcomes) {
        on_outcome(part, &outcome, seen, env);
    }
    Ended::Yes
}

fn on_outcome(part: &Part, outcome: &Outcome, seen: &mut BTreeMap<String, Bytes>, env: &mut Env) {
    let at = env.count;
    match (&part.record, outcome) {
        (
            Record::Registers(
                Change::Put(..) | Change::Delete(_) | Change::Batch(_) | Change::HashState(_),
                records,
            ),
            Outcome::Done,
        ) => records.iter().for_each(|&record| env.book.ok(record, Told::Done, at)),
        (Record::Registers(Change::DeleteRange(_), records), Outcome::Removed(count)) => {
            // Of one key, the count tells whether it was there; of several, not which.
            let told = if records.len() == 1 { Told::Applied(*count > 0) } else { Told::Done };
            for &record in records {
                env.book.ok(record, told.clone(), at);
            }
        }
        (
            Record::Registers(Change::Swap(key, _, update), records),
            Outcome::Conditional { applied, previous },
        ) => {
            let now = if *applied { Some(update) } else { previous.as_ref() };
            remember(seen, key, now);
            if !applied {
                env.marks.hit(Mark::SwapLost);
            }
            let told = Told::Conditional { applied: *applied, previous: previous.clone() };
            for &record in records {
                env.book.ok(record, told.clone(), at);
            }
        }
        (
            Record::Registers(Change::PutIfAbsent(key, value), records),
            Outcome::Conditional { applied, previous },
        ) => {
            remember(seen, key, if *applied { Some(value) } else { previous.as_ref() });
            let told = Told::Conditional { applied: *applied, previous: previous.clone() };
            for &record in records {
                env.book.ok(record, told.clone(), at);
            }
        }
        (Record::Increment(addition), Outcome::Conditional { applied, .. }) => {
            env.book.end_addition(*addition, *applied, at);
        }
        (Record::Element(addition), Outcome::Done) => env.book.end_addition(*addition, true, at),
        (record, outcome) => {
            env.fail(Rule::AnswerForm, format!("{record:?} was answered by {outcome:?}"));
        }
    }
}

/// The operations on single registers that a change stands for.
fn operations(change: &Change) -> Vec<(String, Operation)> {
    match change {
        Change::Put(key, value) => vec![(key.clone(), Operation::Put(value.clone()))],
        Change::Delete(key) => vec![(key.clone(), Operation::Delete)],
        Change::DeleteRange(keys) => {
            keys.iter().map(|key| (key.clone(), Operation::Delete)).collect()
        }
        Change::Swap(key, expect, update) => {
            let (expect, new) = (expect.clone(), update.clone());
            vec![(key.clone(), Operation::CompareAndPut { expect, new })]
        }
        Change::PutIfAbsent(key, value) => {
            vec![(key.clone(), Operation::PutIfAbsent(value.clone()))]
        }
        // The elements of a set are no registers.
        Change::HashState(_) | Change::Add(..) => Vec::new(),
        Change::Batch(changes) => changes
            .iter()
            .map(|(key, value)| {
                let operation = match value {
                    Some(value) => Operation::Put(value.clone()),
                    None => Operation::Delete,
                };
                (key.clone(), operation)
            })
            .collect(),
    }
}

fn remember(seen: &mut BTreeMap<String, Bytes>, key: &str, value: Option<&Bytes>) {
    match value {
        Some(value) => seen.insert(key.to_owned(), value.clone()),
        None => seen.remove(key),
    };
}

fn counter_name(counter: usize, env: &Env) -> String {
    counter_key(counter, env.cluster.regions().len())
}

fn counter_value(value: i64) -> Bytes {
    Bytes::from(value.to_string())
}

fn parse_counter(value: &[u8]) -> Option<i64> {
    std::str::from_utf8(value).ok()?.parse().ok()
}
