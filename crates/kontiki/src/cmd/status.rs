//! `kontiki status`: how every store is, as far as the stores themselves know.

use std::collections::BTreeMap;

use clap::builder::FalseyValueParser;
use kontiki_client::Client;
use kontiki_client::admin::{ReplicaStatus, Role, Status as StoreStatus};
use serde::Serialize;

use crate::chaos::replicas_equal;
use crate::connect::Connect;
use crate::exit::{Code, Failure};
use crate::output::{Form, Out, count_text, size_text, table};

/// Show stores, leaders, terms, positions and sizes
///
/// Exits with 3 when a store does not answer, a region has no leader, or a replica is
/// quarantined or not yet refilled.
#[derive(clap::Args, Debug)]
pub(crate) struct Status {
    #[command(flatten)]
    connect: Connect,
    /// Let all replicas hash what they hold at one index, and compare; exits with 5 when they
    /// differ
    #[arg(long, env = "KONTIKI_COMPARE", value_parser = FalseyValueParser::new())]
    compare: bool,
}

/// One store, in JSON.
#[derive(Serialize, Debug)]
struct StoreRow {
    id: Option<u64>,
    address: String,
    serving: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
    #[serde(flatten)]
    facts: Option<Facts>,
}

/// What a store that answers says of itself.
#[derive(Serialize, Debug)]
struct Facts {
    cluster: u64,
    version: String,
    uptime_ms: u64,
    leads: usize,
    log: LogFacts,
    engine: EngineFacts,
    replicas: Vec<ReplicaRow>,
    counters: BTreeMap<String, u64>,
}

#[derive(Serialize, Debug)]
struct LogFacts {
    segments: u64,
    bytes: u64,
    syncs: u64,
}

#[derive(Serialize, Debug)]
struct EngineFacts {
    name: String,
    disk_bytes: u64,
    memory_bytes: u64,
}

/// One replica, in JSON.
#[derive(Serialize, Debug)]
struct ReplicaRow {
    region: u64,
    role: &'static str,
    leader: Option<u64>,
    term: u64,
    first: u64,
    last: u64,
    commit: u64,
    applied: u64,
    log_bytes: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    quarantine: Option<String>,
}

impl Status {
    /// Shows it.
    pub(crate) async fn run(self) -> Result<(), Failure> {
        let client = self.connect.client().await?;
        let rows = self.ask_all(&client).await;
        let mut out = self.connect.out(Form::Table, false);
        match out.form {
            Form::Json => rows.iter().try_for_each(|row| out.json(row))?,
            Form::Plain => rows.iter().try_for_each(|row| out.line(&plain(row)))?,
            Form::Table => tables(&rows, &mut out)?,
        }
        let healthy = verdict(&rows);
        if self.compare && healthy.is_ok() {
            self.compare(&client, &rows, &mut out).await?;
        }
        out.finish()?;
        healthy
    }

    /// Equal replicas have equal hashes at one index.
    async fn compare(
        &self,
        client: &Client,
        rows: &[StoreRow],
        out: &mut Out,
    ) -> Result<(), Failure> {
        let addresses: Vec<_> = rows.iter().map(|row| row.address.clone()).collect();
        let compared = replicas_equal(client, &addresses).await;
        if !compared.map_err(|error| self.connect.failure(&error))? {
            let why = "replicas differ at one applied index";
            return Err(Failure::new(Code::Verification, why)
                .hint("this is a bug of kontiki: keep the data directories and report it"));
        }
        match out.form {
            Form::Json => out.json(&serde_json::json!({ "replicas_equal": true })),
            _ => out.line("all replicas hold the same"),
        }
    }

    /// Every store of the map, else every endpoint that was given.
    async fn ask_all(&self, client: &Client) -> Vec<StoreRow> {
        let known: Vec<(Option<u64>, String)> = match client.routes().await {
            Ok(routes) if !routes.stores.is_empty() => {
                routes.stores.into_iter().map(|s| (Some(s.id.0), s.address)).collect()
            }
            _ => self.connect.endpoints.iter().map(|e| (None, e.clone())).collect(),
        };
        let mut tasks = Vec::new();
        for (id, address) in known {
            let client = client.clone();
            tasks.push(tokio::spawn(async move {
                match client.status_of(&address).await {
                    Ok(status) => {
                        let id = Some(status.store_id);
                        let facts = Some(facts(status));
                        StoreRow { id, address, serving: true, error: None, facts }
                    }
                    Err(error) => {
                        let error = Some(error.to_string());
                        StoreRow { id, address, serving: false, error, facts: None }
                    }
                }
            }));
        }
        let mut rows = Vec::new();
        for task in tasks {
            rows.push(task.await.expect("asking a store does not panic"));
        }
        rows.sort_by_key(|row| row.id);
        rows
    }
}

fn facts(status: StoreStatus) -> Facts {
    let replicas: Vec<ReplicaRow> = status.replicas.iter().map(replica).collect();
    let log = status.log.unwrap_or_default();
    let engine = status.engine.unwrap_or_default();
    Facts {
        cluster: status.cluster_id,
        version: status.version,
        uptime_ms: status.uptime_ms,
        leads: replicas.iter().filter(|replica| replica.role == "leader").count(),
        log: LogFacts { segments: log.segment_count, bytes: log.bytes, syncs: log.sync_count },
        engine: EngineFacts {
            name: engine.name,
            disk_bytes: engine.disk_bytes,
            memory_bytes: engine.memory_bytes,
        },
        replicas,
        counters: status.counters.into_iter().collect(),
    }
}

fn replica(status: &ReplicaStatus) -> ReplicaRow {
    let role = match status.role() {
        Role::Follower | Role::Learner if !status.quarantine.is_empty() => "refilling",
        Role::Unspecified => "unknown",
        Role::Follower => "follower",
        Role::PreCandidate => "pre-candidate",
        Role::Candidate => "candidate",
        Role::Leader => "leader",
        Role::Learner => "learner",
        Role::Quarantined => "quarantined",
    };
    ReplicaRow {
        region: status.region.as_ref().map_or(0, |region| region.id),
        role,
        leader: (status.leader_store_id != 0).then_some(status.leader_store_id),
        term: status.term,
        first: status.first_index,
        last: status.last_index,
        commit: status.commit_index,
        applied: status.applied_index,
        log_bytes: status.log_bytes,
        quarantine: (!status.quarantine.is_empty()).then(|| status.quarantine.clone()),
    }
}

fn store_name(id: Option<u64>) -> String {
    id.map_or_else(|| "?".to_owned(), |id| format!("s{id}"))
}

fn tables(rows: &[StoreRow], out: &mut Out) -> Result<(), Failure> {
    let mut stores =
        table(&["store", "address", "state", "leads>", "log>", "engine", "size>", "up>"]);
    for row in rows {
        let name = store_name(row.id);
        let Some(facts) = &row.facts else {
            stores.add_row([name.as_str(), row.address.as_str(), "no answer"]);
            continue;
        };
        stores.add_row([
            name,
            row.address.clone(),
            "serves".to_owned(),
            facts.leads.to_string(),
            size_text(facts.log.bytes),
            facts.engine.name.clone(),
            size_text(facts.engine.disk_bytes + facts.engine.memory_bytes),
            format!("{} s", count_text(facts.uptime_ms / 1000)),
        ]);
    }
    out.line(&stores.to_string())?;
    let mut replicas =
        table(&["region", "store", "role", "term>", "commit>", "applied>", "log from>", "log>"]);
    let mut lines: Vec<(u64, Option<u64>, &ReplicaRow)> = rows
        .iter()
        .filter_map(|row| Some((row.id, row.facts.as_ref()?)))
        .flat_map(|(id, facts)| facts.replicas.iter().map(move |r| (r.region, id, r)))
        .collect();
    lines.sort_by_key(|(region, store, _)| (*region, *store));
    for (region, store, replica) in lines {
        replicas.add_row([
            format!("r{region}"),
            store_name(store),
            replica.role.to_owned(),
            replica.term.to_string(),
            replica.commit.to_string(),
            replica.applied.to_string(),
            replica.first.to_string(),
            size_text(replica.log_bytes),
        ]);
    }
    out.line(&replicas.to_string())
}

fn plain(row: &StoreRow) -> String {
    let name = store_name(row.id);
    let Some(facts) = &row.facts else {
        let why = row.error.as_deref().unwrap_or_default();
        return format!("{name} {} no answer: {why}", row.address);
    };
    let replicas: Vec<String> = facts
        .replicas
        .iter()
        .map(|r| {
            format!(
                "r{} {} term={} commit={} applied={}{}",
                r.region,
                r.role,
                r.term,
                r.commit,
                r.applied,
                r.quarantine.as_ref().map(|why| format!(" ({why})")).unwrap_or_default()
            )
        })
        .collect();
    format!(
        "{name} {} serves log={} engine={} {}",
        row.address,
        facts.log.bytes,
        facts.engine.disk_bytes + facts.engine.memory_bytes,
        replicas.join("; ")
    )
}

/// A cluster that does not serve as it should is told by the exit code too.
fn verdict(rows: &[StoreRow]) -> Result<(), Failure> {
    if let Some(silent) = rows.iter().find(|row| !row.serving) {
        let why = silent.error.as_deref().unwrap_or("no answer");
        let message = format!("{} at {}: {why}", store_name(silent.id), silent.address);
        return Err(Failure::new(Code::Unavailable, message)
            .hint("look at that store's log; start it again with `kontiki serve`"));
    }
    let replicas = || rows.iter().filter_map(|row| row.facts.as_ref()).flat_map(|f| &f.replicas);
    let leaderless = replicas()
        .map(|replica| replica.region)
        .find(|region| !replicas().any(|r| r.region == *region && r.role == "leader"));
    if let Some(region) = leaderless {
        return Err(Failure::new(Code::Unavailable, format!("r{region} has no leader"))
            .hint("an election takes about a second; ask again"));
    }
    let of_store = |row: &StoreRow, replica: &ReplicaRow| {
        let why = replica.quarantine.as_ref()?;
        let name = store_name(row.id);
        let (region, role) = (replica.region, replica.role);
        let message = format!("r{region} on {name} is {role}: {why}");
        Some(Failure::new(Code::Unavailable, message).hint(
            "the other stores serve the region and refill this replica by themselves, as long as \
             they are a majority; ask again",
        ))
    };
    let quarantined = rows.iter().find_map(|row| {
        let replicas = &row.facts.as_ref()?.replicas;
        replicas.iter().find_map(|replica| of_store(row, replica))
    });
    quarantined.map_or(Ok(()), Err)
}
