//! Making a snapshot: a view of the engine as of the last applied entry, read chunk by chunk.
//!
//! Opened by the apply worker, which only takes the view; the chunks are pulled later, on another
//! thread, while applying goes on. Everything comes from the view, sessions included, so nothing
//! is copied and all parts are of the same position.

use std::collections::VecDeque;
use std::ops::ControlFlow;
use std::sync::Arc;

use bytes::Bytes;
use kontiki_codec::region_snapshot::{self, Part, Totals};
use kontiki_codec::session::Session;
use kontiki_engine::{Direction, Family, Range, View};
use kontiki_multiraft::SnapshotSource;
use kontiki_types::mutants::{self, Mutant};
use kontiki_types::{ClientId, Region, RegionTime, SnapshotMeta};

use crate::session::load;
use crate::snapshot::rows_of;
use crate::state_hash::Hasher;
use crate::{Error, Replica};

/// A snapshot being sent.
pub(crate) struct Source {
    meta: SnapshotMeta,
    region: Arc<Region>,
    view: Box<dyn View>,
    chunk_bytes: usize,
    stage: Stage,
    /// Number of the next chunk.
    sequence: u64,
    totals: Totals,
    hasher: Hasher,
    time: RegionTime,
}

/// What comes next.
enum Stage {
    Head,
    Rows {
        left: Range,
    },
    Sessions {
        left: VecDeque<(ClientId, Session)>,
    },
    End,
    Over,
    /// The replica is between two applied positions; the receiver asks again later.
    NotNow,
}

impl Source {
    /// A snapshot as of the last applied entry.
    ///
    /// # Errors
    /// The engine gives no view.
    pub(crate) fn new(replica: &Replica) -> Result<Self, Error> {
        // After a crash, until replay has caught up or an install was repeated. That is no failure
        // of the storage: only this transfer is given up.
        let stage = if replica.partial.is_some() || replica.incomplete {
            Stage::NotNow
        } else {
            Stage::Head
        };
        let time = replica.sessions.time();
        Ok(Self {
            meta: SnapshotMeta { position: replica.applied, membership: replica.membership() },
            region: Arc::clone(&replica.region),
            view: replica.engine.view()?,
            chunk_bytes: replica.tuning.snapshot_chunk_bytes,
            stage,
            sequence: 0,
            totals: Totals::default(),
            hasher: Hasher::new(&replica.region, time),
            time,
        })
    }

    fn next_part(&mut self) -> Result<Option<Part>, Error> {
        loop {
            match std::mem::replace(&mut self.stage, Stage::Over) {
                Stage::Head => {
                    self.stage = Stage::Rows { left: rows_of(&self.region) };
                    let region = Region::clone(&self.region);
                    return Ok(Some(Part::Head { region, time: self.time }));
                }
                Stage::Rows { left } => {
                    if let Some(rows) = self.next_rows(left)? {
                        return Ok(Some(Part::Rows(rows)));
                    }
                    self.stage = Stage::Sessions { left: self.sessions()? };
                }
                Stage::Sessions { left } => {
                    if let Some(sessions) = self.next_sessions(left) {
                        return Ok(Some(Part::Sessions(sessions)));
                    }
                    self.stage = Stage::End;
                }
                Stage::End => {
                    self.totals.hash = self.hasher.finish();
                    return Ok(Some(Part::End(self.totals)));
                }
                Stage::Over => return Ok(None),
                Stage::NotNow => {
                    self.stage = Stage::NotNow;
                    let why = "its rows are being replaced; ask again".to_owned();
                    return Err(Error::Snapshot { region: self.region.id, why });
                }
            }
        }
    }

    /// The next chunk of rows; nothing when there are no more.
    fn next_rows(&mut self, left: Range) -> Result<Option<Vec<(Bytes, Bytes)>>, Error> {
        let mut rows: Vec<(Bytes, Bytes)> = Vec::new();
        let mut bytes = 0;
        let mut next = None;
        self.view.scan(Family::Default, &left, Direction::Forward, &mut |key, value| {
            if bytes >= self.chunk_bytes {
                next = Some(key.clone());
                return ControlFlow::Break(());
            }
            bytes += region_snapshot::row_bytes(key, value);
            rows.push((key.clone(), value.clone()));
            ControlFlow::Continue(())
        })?;
        if rows.is_empty() {
            return Ok(None);
        }
        for (key, value) in &rows {
            self.hasher.row(key, value);
        }
        self.totals.rows += rows.len() as u64;
        self.stage = match next {
            Some(start) => Stage::Rows { left: Range { start, ..left } },
            None => Stage::Sessions { left: self.sessions()? },
        };
        Ok(Some(rows))
    }

    fn sessions(&mut self) -> Result<VecDeque<(ClientId, Session)>, Error> {
        let loaded = load::load(&*self.view, self.region.id)?;
        assert!(
            loaded.state.position == self.meta.position && loaded.state.partial.is_none(),
            "{}: view of {:?} for a snapshot of {}",
            self.region.id,
            loaded.state,
            self.meta.position
        );
        let mut sessions: VecDeque<_> = loaded.sessions.iter().collect();
        if mutants::is_on(Mutant::SnapshotLacksSessions) {
            sessions.clear();
        }
        for (client, session) in &sessions {
            self.hasher.session(client.0, session);
        }
        self.totals.sessions = sessions.len() as u64;
        Ok(sessions)
    }

    /// The next chunk of sessions; nothing when there are no more. A session that does not fit
    /// continues in the next chunk under the same client.
    fn next_sessions(
        &mut self,
        mut left: VecDeque<(ClientId, Session)>,
    ) -> Option<Vec<(ClientId, Session)>> {
        let mut sessions = Vec::new();
        let mut bytes = 0;
        while let Some((client, mut session)) = left.pop_front() {
            let fits = outcomes_that_fit(&session, &mut bytes, self.chunk_bytes);
            let rest = session.outcomes.split_off(fits);
            let (lowest, used_ms) = (session.lowest, session.used_ms);
            sessions.push((client, session));
            if !rest.is_empty() {
                left.push_front((client, Session { lowest, used_ms, outcomes: rest }));
            }
            if bytes >= self.chunk_bytes {
                break;
            }
        }
        self.stage = Stage::Sessions { left };
        (!sessions.is_empty()).then_some(sessions)
    }
}

/// How many outcomes of a session go into a chunk that holds `bytes` already: at least one.
fn outcomes_that_fit(session: &Session, bytes: &mut usize, chunk_bytes: usize) -> usize {
    *bytes += SESSION_BYTES;
    for (nth, (_, outcome)) in session.outcomes.iter().enumerate() {
        if *bytes >= chunk_bytes && nth > 0 {
            return nth;
        }
        *bytes += crate::session::outcome_bytes(outcome);
    }
    session.outcomes.len()
}

/// About what a session takes in a chunk beside its outcomes.
const SESSION_BYTES: usize = 24;

impl SnapshotSource for Source {
    fn meta(&mut self) -> Result<SnapshotMeta, kontiki_multiraft::Error> {
        Ok(self.meta.clone())
    }

    fn next_chunk(&mut self) -> Result<Option<Bytes>, kontiki_multiraft::Error> {
        let Some(part) = self.next_part()? else { return Ok(None) };
        let chunk = region_snapshot::encode(self.sequence, &part);
        self.sequence += 1;
        Ok(Some(chunk))
    }
}
