//! Runs the scripts of `testscripts/`: what a region is told, and everything that comes of it.
//!
//! A write verb alone is one payload of one entry, applied at once. Between `begin` and `apply`
//! writes are collected: each is its own entry, unless it joins the one before it with
//! `with=entry` (as a payload of its own) or `with=payload`. Replicas are named by prefixes (`b:`)
//! and have logs of their own; a snapshot made by one can be installed by any.
//!
//! | verb | arguments |
//! |---|---|
//! | `put`, `put-if-absent` | key value |
//! | `delete` | key |
//! | `cas` | key `expect=` `update=` |
//! | `batch` | `+key=value` … `-key` … |
//! | `delete-range` | start [end] |
//! | `hash`, `garbage`, `wrong-space` | |
//! | all of these | `client=` `id=` `lowest=` `ms=` `epoch=version.conf` `closed=` `with=` |
//! | `membership` | peer … |
//! | `crash`, `restart`, `replay` | `keep=` engine batches |
//! | `fail` | `writes=` that still succeed |
//! | `snapshot`, `install` | `lose=` a chunk |
//! | `data`, `sessions`, `rows`, `status`, `hashes`, `get` | |
//! | `tune` | `records=` `delete=` `chunk=` `check=` |

use std::collections::BTreeMap;
use std::error::Error;
use std::fmt::Write as _;

use bytes::Bytes;
use goldenscript::{Argument, ArgumentConsumer, Context};
use kontiki_codec::keys::{MetaKey, RegionRow, user_key};
use kontiki_codec::region_snapshot::{self, Part};
use kontiki_engine::Family;
use kontiki_multiraft::{Committed, CommittedKind, StateMachine};
use kontiki_types::{
    ClientId, Command, Epoch, Header, Membership, Outcome, Peer, PeerId, PeerRole, Refusal,
    RequestId, SnapshotMeta, StoreId, WriteBatch,
};

use crate::Tuning;
use crate::tests::builders::{FIRST_EPOCH, committed, entry, header, joined, key, range, value};
use crate::tests::node::Node;

type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// The name the chunks of a snapshot have with the host.
const SPOOL: u64 = 7;

#[derive(Default)]
struct Script {
    replicas: BTreeMap<String, Replica>,
    snapshot: Option<(SnapshotMeta, Vec<Bytes>)>,
}

struct Replica {
    node: Node,
    log: Vec<Committed>,
    /// What each command of the log is called, by entry and payload.
    labels: Vec<Vec<Vec<String>>>,
    /// The payload being written, at the end of the log.
    payload: Option<WriteBatch>,
    collecting: bool,
    /// Last request id of each client.
    requests: BTreeMap<u64, u64>,
}

impl goldenscript::Runner for Script {
    type Command = goldenscript::Command;

    fn run(&mut self, command: &goldenscript::Command, context: &Context) -> Result<String> {
        let name = context.prefix.clone().unwrap_or_default();
        let replica = self.replicas.entry(name).or_insert_with(|| Replica::new(Tuning::default()));
        let mut args = command.consume_args();
        let output = match command.name.as_str() {
            "snapshot" => {
                let (output, snapshot) = replica.snapshot()?;
                self.snapshot = Some(snapshot);
                output
            }
            "install" => {
                let (meta, chunks) = self.snapshot.as_ref().ok_or("no snapshot was made")?;
                replica.install(meta, chunks.clone(), &mut args)?
            }
            verb => replica.run(verb, &mut args)?,
        };
        args.reject_next()?;
        Ok(output)
    }
}

impl Replica {
    fn new(tuning: Tuning) -> Self {
        Self {
            node: Node::new(tuning),
            log: Vec::new(),
            labels: Vec::new(),
            payload: None,
            collecting: false,
            requests: BTreeMap::new(),
        }
    }

    fn run(&mut self, verb: &str, args: &mut ArgumentConsumer<'_>) -> Result<String> {
        match verb {
            "tune" => *self = Self::new(tuning(args)?),
            "begin" => self.collecting = true,
            "apply" => {
                self.collecting = false;
                return self.apply();
            }
            "membership" => return self.membership(args),
            "crash" => self.node.crash(number(args, "keep")?.unwrap_or(0)),
            "restart" => self.node.reopen(),
            "replay" => return self.apply(),
            "fail" => self.node.fail_write(number(args, "writes")?.unwrap_or(0) as u64),
            "data" => return Ok(self.data()),
            "sessions" => return Ok(self.sessions()),
            "rows" => return Ok(self.rows()),
            "status" => return Ok(self.status()),
            "hashes" => return Ok(self.hashes()),
            "get" => return self.get(args),
            write => return self.write(write, args),
        }
        Ok(String::new())
    }

    fn write(&mut self, verb: &str, args: &mut ArgumentConsumer<'_>) -> Result<String> {
        let client = number(args, "client")?.unwrap_or(1) as u64;
        let id = number(args, "id")?.map(|id| id as u64);
        let id = id.unwrap_or_else(|| self.requests.get(&client).map_or(1, |last| last + 1));
        self.requests.insert(client, id);
        let header = self.header(client, args)?;
        let with = args.take_key("with");
        let label = format!("{} {} {verb}", ClientId(client), RequestId(id));
        if verb == "garbage" {
            self.push(Bytes::from_static(b"\x01\xffgarbage"), label, with);
        } else {
            let command = parse(verb, args)?;
            let label = format!("{label}{}", describe(&command));
            match &mut self.payload {
                Some(batch) if with == Some("payload") => {
                    batch.commands.push((RequestId(id), command));
                    let data = kontiki_codec::command::to_bytes(batch);
                    self.replace(data, label);
                }
                payload => {
                    let batch = WriteBatch { header, commands: vec![(RequestId(id), command)] };
                    let data = kontiki_codec::command::to_bytes(&batch);
                    *payload = Some(batch);
                    self.push(data, label, with);
                }
            }
        }
        if self.collecting { Ok(String::new()) } else { self.apply() }
    }

    fn header(&self, client: u64, args: &mut ArgumentConsumer<'_>) -> Result<Header> {
        let mut header = header(client, number(args, "lowest")?.unwrap_or(1) as u64);
        header.wall_ms = number(args, "ms")?.unwrap_or(1000) as u64;
        header.open = args.take_key("closed").is_none();
        header.epoch = match args.take_key("epoch") {
            Some(epoch) => parse_epoch(epoch)?,
            None => self.node.replica.region().epoch,
        };
        Ok(header)
    }

    /// Adds a payload to the log, in an entry of its own or in the last one.
    fn push(&mut self, data: Bytes, label: String, with: Option<&str>) {
        if let (Some("entry"), Some(last), Some(labels)) =
            (with, self.log.last_mut(), self.labels.last_mut())
            && let CommittedKind::Normal(payloads) = &mut last.kind
        {
            *payloads =
                joined(payloads.iter().map(|payload| payload.to_bytes()).chain([data]), Vec::new());
            labels.push(vec![label]);
            return;
        }
        let index = self.log.len() as u64 + 1;
        self.log.push(entry(index, vec![data]));
        self.labels.push(vec![vec![label]]);
    }

    /// Puts a longer payload in the place of the last one.
    fn replace(&mut self, data: Bytes, label: String) {
        let last = self.log.last_mut().map(|entry| &mut entry.kind);
        let Some(CommittedKind::Normal(payloads)) = last else { panic!("no payload to join") };
        let kept = payloads.iter().count() - 1;
        *payloads = joined(
            payloads.iter().take(kept).map(|payload| payload.to_bytes()).chain([data]),
            Vec::new(),
        );
        self.labels.last_mut().unwrap().last_mut().unwrap().push(label);
    }

    fn membership(&mut self, args: &mut ArgumentConsumer<'_>) -> Result<String> {
        let mut peers = Vec::new();
        while let Some(id) = args.next_pos() {
            let id: u64 = id.parse()?;
            peers.push(Peer { id: PeerId(id), store: StoreId(id), role: PeerRole::Voter });
        }
        let kind = CommittedKind::Config(Membership::new(peers));
        self.log.push(committed(self.log.len() as u64 + 1, kind));
        self.labels.push(Vec::new());
        if self.collecting { Ok(String::new()) } else { self.apply() }
    }

    /// Applies all of the log that is not applied, in one call.
    fn apply(&mut self) -> Result<String> {
        self.payload = None;
        let before = self.node.unsynced_count();
        let replies = self.node.apply(&self.log, usize::MAX)?;
        let batches = self.node.unsynced_count().saturating_sub(before);
        let mut output = String::new();
        let mut place = (0, 0);
        for (index, outcomes) in replies {
            place = if place.0 == index.0 { (index.0, place.1 + 1) } else { (index.0, 0) };
            let labels = &self.labels[usize::try_from(index.0 - 1)?][place.1];
            // Garbage has no commands to name.
            for (label, outcome) in labels.iter().zip(&outcomes) {
                writeln!(output, "{index} {label} → {}", render(outcome))?;
            }
        }
        if batches > 1 {
            writeln!(output, "in {batches} engine batches")?;
        }
        Ok(output)
    }

    fn snapshot(&mut self) -> Result<(String, (SnapshotMeta, Vec<Bytes>))> {
        let replica = &self.node.replica;
        let meta = SnapshotMeta { position: replica.applied(), membership: replica.membership() };
        let chunks = self.node.snapshot();
        let mut output = format!("as of {}\n", meta.position);
        for chunk in &chunks {
            let (sequence, part) = region_snapshot::decode(chunk.clone())?;
            writeln!(output, "{sequence} {}", render_part(&part))?;
        }
        Ok((output, (meta, chunks)))
    }

    fn install(
        &mut self,
        meta: &SnapshotMeta,
        mut chunks: Vec<Bytes>,
        args: &mut ArgumentConsumer<'_>,
    ) -> Result<String> {
        if let Some(lost) = number(args, "lose")? {
            chunks.remove(lost);
        }
        self.node.replica.install(meta, SPOOL, &mut chunks.into_iter().map(Ok))?;
        self.node.pending_install = None;
        self.node.check();
        Ok(String::new())
    }

    fn data(&self) -> String {
        let mut output = String::new();
        for (key, value) in self.node.data() {
            writeln!(output, "{}={}", user(&key), text(&value)).unwrap();
        }
        output
    }

    fn sessions(&self) -> String {
        let mut output = format!("now {} ms\n", self.node.replica.sessions.time().now_ms);
        for (client, session) in self.node.replica.sessions.iter() {
            write!(output, "{client} used {} lowest {}:", session.used_ms, session.lowest).unwrap();
            for (request, outcome) in &session.outcomes {
                write!(output, " {request} {};", render(outcome)).unwrap();
            }
            output.push('\n');
        }
        output
    }

    /// The store's own rows of the region.
    fn rows(&self) -> String {
        let mut output = String::new();
        for (key, _) in self.node.rows(Family::Meta) {
            let Some(MetaKey::Region(_, row)) = MetaKey::from_bytes(&key) else { continue };
            let row = match row {
                RegionRow::ApplyState => "apply state".into(),
                RegionRow::Descriptor => "descriptor".into(),
                RegionRow::Heir => "heir".into(),
                RegionRow::InstallMarker => "install marker".into(),
                RegionRow::OutcomeRecord(index) => format!("outcome record {index}"),
                RegionRow::Session(client) => format!("session {client}"),
            };
            writeln!(output, "{row}").unwrap();
        }
        output
    }

    fn status(&self) -> String {
        let replica = &self.node.replica;
        let region = replica.region();
        let mut output = format!("applied {}", replica.applied());
        write!(output, ", epoch {:?}, peers {:?}", region.epoch, region.peers).unwrap();
        if let Some(partial) = replica.partial {
            let (payload, command, removed) = (partial.payload, partial.command, partial.removed);
            write!(output, ", then payload {payload} command {command} removed {removed}").unwrap();
        }
        if replica.cell().is_replacing() {
            output.push_str(", no reads");
        }
        if let Some(install) = &self.node.pending_install {
            write!(output, ", install of {} from spool {}", install.meta.position, install.spool)
                .unwrap();
        }
        output.push('\n');
        output
    }

    /// Hashes as such are not for reading: which entries have one, and which of them are equal.
    fn hashes(&self) -> String {
        let hashes = self.node.replica.cell().state_hashes();
        let mut output = String::new();
        for hash in &hashes {
            let first = hashes.iter().find(|other| other.hash == hash.hash).unwrap();
            let same =
                if first == hash { "new".into() } else { format!("as at {}", first.applied) };
            writeln!(output, "at {}: {same}", hash.applied).unwrap();
        }
        output
    }

    fn get(&self, args: &mut ArgumentConsumer<'_>) -> Result<String> {
        let name = args.next_pos().ok_or("which key?")?;
        let epoch = args.take_key("epoch").map_or(Ok(self.epoch()), parse_epoch)?;
        let found = self.node.read(|reader| reader.get(epoch, &key(name)))?;
        Ok(found.map_or("none".into(), |found| text(&found)))
    }

    fn epoch(&self) -> Epoch {
        self.node.replica.region().epoch
    }
}

fn tuning(args: &mut ArgumentConsumer<'_>) -> Result<Tuning> {
    let default = Tuning::default();
    Ok(Tuning {
        records_max: number(args, "records")?.unwrap_or(default.records_max),
        delete_chunk_rows: number(args, "delete")?.unwrap_or(default.delete_chunk_rows),
        snapshot_chunk_bytes: number(args, "chunk")?.unwrap_or(default.snapshot_chunk_bytes),
        install_check_bytes: number(args, "check")?.unwrap_or(default.install_check_bytes),
    })
}

fn number(args: &mut ArgumentConsumer<'_>, key: &str) -> Result<Option<usize>> {
    Ok(args.take_key(key).map(str::parse).transpose()?)
}

fn parse_epoch(text: &str) -> Result<Epoch> {
    let (version, conf_ver) = text.split_once('.').ok_or("an epoch is version.conf")?;
    Ok(Epoch { conf_ver: conf_ver.parse()?, version: version.parse()? })
}

fn parse(verb: &str, args: &mut ArgumentConsumer<'_>) -> Result<Command> {
    let mut next = || args.next_pos().ok_or_else(|| format!("{verb}: too few arguments"));
    Ok(match verb {
        "put" => Command::Put { key: key(next()?), value: value(next()?) },
        "put-if-absent" => Command::PutIfAbsent { key: key(next()?), value: value(next()?) },
        "delete" => Command::Delete { key: key(next()?) },
        "cas" => Command::CompareAndPut {
            key: key(next()?),
            expect: args.take_key("expect").map(value),
            update: args.take_key("update").map(value),
        },
        "delete-range" => Command::DeleteRange { range: range(next()?, args.next_pos()) },
        "batch" => Command::Batch { changes: args.map(change).collect::<Result<_>>()? },
        "hash" => Command::HashState,
        "wrong-space" => Command::Put { key: value("xkey"), value: value("v") },
        _ => return Err(format!("unknown verb {verb}").into()),
    })
}

fn change(arg: &Argument) -> Result<(Bytes, Option<Bytes>)> {
    match arg {
        Argument::KeyValue(name, text) => Ok((key(name), Some(value(text)))),
        Argument::Positional(name) => Ok((key(name), None)),
        _ => Err("unknown kind of argument".into()),
    }
}

/// What a command is about, beside its verb.
fn describe(command: &Command) -> String {
    match command {
        Command::Put { key, value } | Command::PutIfAbsent { key, value } => {
            format!(" {}={}", user(key), text(value))
        }
        Command::Delete { key } | Command::CompareAndPut { key, .. } => format!(" {}", user(key)),
        Command::Batch { changes } => {
            changes.iter().fold(String::new(), |all, (key, value)| match value {
                Some(value) => format!("{all} {}={}", user(key), text(value)),
                None => format!("{all} -{}", user(key)),
            })
        }
        Command::DeleteRange { range } => format!(" from {}", user(&range.start)),
        Command::HashState => String::new(),
    }
}

fn render(outcome: &Outcome) -> String {
    match outcome {
        Outcome::Done => "done".into(),
        Outcome::Removed(count) => format!("removed {count}"),
        Outcome::Conditional { applied, previous } => format!(
            "{}, was {}",
            if *applied { "applied" } else { "not applied" },
            previous.as_ref().map_or("none".into(), |previous| text(previous))
        ),
        Outcome::Refused(Refusal::EpochNotMatch(regions)) => {
            let epochs: Vec<_> = regions.iter().map(|region| region.epoch).collect();
            format!("refused: epoch is {epochs:?}")
        }
        Outcome::Refused(refusal) => format!("refused: {refusal:?}"),
    }
}

fn render_part(part: &Part) -> String {
    match part {
        Part::Head { region, time } => format!("head {:?} at {} ms", region.epoch, time.now_ms),
        Part::Rows(rows) => {
            rows.iter().fold("rows".into(), |all, (key, _)| format!("{all} {}", user(key)))
        }
        Part::Sessions(sessions) => sessions.iter().fold("sessions".into(), |all, (client, s)| {
            format!("{all} {client}({} outcomes)", s.outcomes.len())
        }),
        Part::End(totals) => format!("end: {} rows, {} sessions", totals.rows, totals.sessions),
    }
}

fn user(key: &[u8]) -> String {
    user_key(key).map_or_else(|| format!("border {}", key.escape_ascii()), text)
}

fn text(bytes: &[u8]) -> String {
    bytes.escape_ascii().to_string()
}

/// Without this the first epoch of the scripts could silently be another one.
#[test]
fn scripts_start_with_the_first_epoch() {
    assert_eq!(Replica::new(Tuning::default()).epoch(), FIRST_EPOCH);
}

fn run(path: &std::path::Path) {
    goldenscript::run(&mut Script::default(), path).expect("the script runs");
}

test_each_file::test_each_path! { in "crates/store/src/testscripts" as scripts => run }
