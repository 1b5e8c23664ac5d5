//! Judging an incoming snapshot part by part: places, order, counts and hash.
//!
//! Install runs it twice: over what fits in memory before anything is destroyed, and over
//! everything while it loads.

use bytes::Bytes;
use kontiki_codec::region_snapshot::{Part, Totals};
use kontiki_codec::session::Session;
use kontiki_engine::Range;
use kontiki_types::{ClientId, Region, RegionTime};

use crate::Error;
use crate::snapshot::rows_of;
use crate::state_hash::Hasher;

/// What was seen of a snapshot so far, its head included.
pub(crate) struct Verifier {
    region: Region,
    owned: Range,
    last_key: Bytes,
    last_client: Option<ClientId>,
    /// A session whose next part may bring more of it.
    open: Option<(ClientId, Session)>,
    totals: Totals,
    hasher: Hasher,
    whole: bool,
}

impl Verifier {
    /// After a head that said this.
    pub(crate) fn new(region: &Region, time: RegionTime) -> Self {
        Self {
            region: region.clone(),
            owned: rows_of(region),
            last_key: Bytes::new(),
            last_client: None,
            open: None,
            totals: Totals::default(),
            hasher: Hasher::new(region, time),
            whole: false,
        }
    }

    /// Judges the next part, and answers the sessions that are complete with it.
    ///
    /// # Errors
    /// [`Error::Snapshot`].
    pub(crate) fn part(&mut self, part: &Part) -> Result<Vec<(ClientId, Session)>, Error> {
        let mut complete = Vec::new();
        match part {
            Part::Head { .. } => return Err(self.refuse("it has a second head")),
            Part::Rows(rows) => rows.iter().try_for_each(|(key, value)| self.row(key, value))?,
            Part::Sessions(pieces) => {
                for (client, piece) in pieces {
                    complete.extend(self.piece(*client, piece)?);
                }
            }
            Part::End(stated) => {
                complete.extend(self.close());
                self.end(*stated)?;
            }
        }
        Ok(complete)
    }

    /// True after an end that agrees with everything before.
    pub(crate) fn is_whole(&self) -> bool {
        self.whole
    }

    fn row(&mut self, key: &Bytes, value: &Bytes) -> Result<(), Error> {
        if *key <= self.last_key || !self.owned.contains(key) {
            return Err(self.refuse(format!("row {} is out of place", key.escape_ascii())));
        }
        self.last_key = key.clone();
        self.totals.rows += 1;
        self.hasher.row(key, value);
        Ok(())
    }

    fn piece(
        &mut self,
        client: ClientId,
        piece: &Session,
    ) -> Result<Option<(ClientId, Session)>, Error> {
        if let Some((open, session)) = &mut self.open
            && *open == client
        {
            let last = session.outcomes.last().map(|(request, _)| *request);
            let ordered = piece.outcomes.first().map(|(request, _)| *request) > last;
            let same = (piece.lowest, piece.used_ms) == (session.lowest, session.used_ms);
            if !ordered || !same {
                return Err(self.refuse(format!("session of {client} does not continue")));
            }
            session.outcomes.extend_from_slice(&piece.outcomes);
            return Ok(None);
        }
        let complete = self.close();
        if self.last_client.is_some_and(|last| last >= client) {
            return Err(self.refuse(format!("session of {client} is out of place")));
        }
        self.last_client = Some(client);
        self.open = Some((client, piece.clone()));
        Ok(complete)
    }

    /// Nothing more comes of the open session.
    fn close(&mut self) -> Option<(ClientId, Session)> {
        let (client, session) = self.open.take()?;
        self.totals.sessions += 1;
        self.hasher.session(client.0, &session);
        Some((client, session))
    }

    fn end(&mut self, stated: Totals) -> Result<(), Error> {
        self.totals.hash = self.hasher.finish();
        if self.totals != stated {
            return Err(self.refuse(format!("it holds {:?}, not {stated:?}", self.totals)));
        }
        self.whole = true;
        Ok(())
    }

    fn refuse(&self, why: impl Into<String>) -> Error {
        Error::Snapshot { region: self.region.id, why: why.into() }
    }
}
