//! `kontiki playground`: a whole cluster with one command, until Ctrl-C.
//!
//! Everything happens on the main thread, which tends the stores (see [`crate::supervise`]); the
//! runtime's threads only listen for signals and ask the stores whether they serve.

use std::fmt::Write as _;
use std::io::{self, Write};
use std::path::PathBuf;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::time::{Duration, Instant};

use clap::builder::FalseyValueParser;
use kontiki_types::StoreId;
use tempfile::TempDir;
use tokio::signal::unix::{SignalKind, signal};

use super::progress;
use crate::exit::{Code, Failure};
use crate::output;
use crate::supervise::{Cluster, Event, Layout, PORT_BASE, Settings, TEND_EVERY, ready};

/// How long starting may take before the log files are mentioned.
const PATIENCE: Duration = Duration::from_secs(15);

/// Start a cluster on this machine, until Ctrl-C
///
/// Starts stores as child processes, waits until they serve, and says how to use them. The file
/// playground.json in the data directory tells scripts the endpoints and processes.
#[derive(clap::Args, Debug)]
pub(crate) struct Playground {
    /// How many stores; with three, one may fail
    #[arg(long, short = 'n', env = "KONTIKI_STORES", value_name = "N", default_value_t = 3)]
    stores: u16,
    /// Where data lies; kept and reused [default: a temporary directory, removed at the end]
    #[arg(long, env = "KONTIKI_DATA_DIR", value_name = "DIR")]
    data_dir: Option<PathBuf>,
    /// Store n listens on port BASE + n; 0 takes free ports
    #[arg(long, env = "KONTIKI_PORT_BASE", value_name = "BASE", default_value_t = PORT_BASE)]
    port_base: u16,
    /// Where rows live: fjall (on disk) or memory (durable by log and snapshots)
    #[arg(long, env = "KONTIKI_ENGINE", value_parser = ["fjall", "memory"])]
    engine: Option<String>,
    /// A store that dies stays down
    #[arg(long, env = "KONTIKI_NO_RESTART", value_parser = FalseyValueParser::new())]
    no_restart: bool,
    /// What the stores log: error, warn, info, debug, trace, or a filter
    #[arg(long, env = "KONTIKI_LOG_LEVEL", value_name = "FILTER")]
    log_level: Option<String>,
    /// Logs of the stores go to this terminal instead of files
    #[arg(long, short, env = "KONTIKI_VERBOSE", value_parser = FalseyValueParser::new())]
    verbose: bool,
    /// No banner; only what goes wrong
    #[arg(long, short, env = "KONTIKI_QUIET", value_parser = FalseyValueParser::new())]
    quiet: bool,
}

/// What the other threads tell the main one.
enum News {
    /// Every store serves, and this one leads.
    Ready(StoreId),
    /// A signal asks for the end.
    Stop,
}

impl Playground {
    /// Runs it.
    pub(crate) fn run(self) -> Result<(), Failure> {
        let (dir, temporary) = self.directory()?;
        let layout = Layout::new(&dir, self.stores, self.port_base)?;
        let runtime = super::runtime()?;
        let (sender, news) = sync_channel(4);
        runtime.block_on(async { tell_of_signals(&sender) })?;
        let settings = Settings {
            engine: self.engine.clone(),
            log_level: self.log_level.clone(),
            verbose: self.verbose,
        };
        let started = Instant::now();
        let endpoints = layout.endpoints();
        let mut cluster = Cluster::start(layout, settings, !self.no_restart)?;
        runtime.spawn(async move {
            let leader = ready::wait(&endpoints).await;
            let _ = sender.send(News::Ready(leader));
        });
        let Some(leader) = self.wait_until_ready(&mut cluster, &news)? else {
            return stop(cluster, temporary);
        };
        cluster.write_state()?;
        if !self.quiet {
            let banner = self.banner(&cluster, leader, started.elapsed(), temporary.is_some());
            let _ = io::stdout().write_all(banner.as_bytes());
        }
        watch(&mut cluster, &news)?;
        if !self.quiet {
            say("stopping the stores");
        }
        stop(cluster, temporary)
    }

    fn directory(&self) -> Result<(PathBuf, Option<TempDir>), Failure> {
        if let Some(dir) = &self.data_dir {
            return Ok((dir.clone(), None));
        }
        let dir = tempfile::Builder::new()
            .prefix("kontiki-playground-")
            .tempdir()
            .map_err(|error| Failure::machine("cannot make a temporary directory", error))?;
        Ok((dir.path().to_owned(), Some(dir)))
    }

    /// The leader, or nothing when a signal came first. A store that dies before all serve is a
    /// failure: what kept it from starting will not heal by itself.
    fn wait_until_ready(
        &self,
        cluster: &mut Cluster,
        news: &Receiver<News>,
    ) -> Result<Option<StoreId>, Failure> {
        let bar = if self.quiet { indicatif::ProgressBar::hidden() } else { progress::bar(None) };
        bar.set_message("waiting until the stores serve");
        let started = Instant::now();
        let mut patient = true;
        loop {
            match news.recv_timeout(TEND_EVERY) {
                Ok(News::Ready(leader)) => {
                    bar.finish_and_clear();
                    return Ok(Some(leader));
                }
                Ok(News::Stop) | Err(RecvTimeoutError::Disconnected) => return Ok(None),
                Err(RecvTimeoutError::Timeout) => {}
            }
            for event in cluster.tend() {
                if let Event::Died { store, status, last_lines, .. } = event {
                    bar.finish_and_clear();
                    return Err(died_while_starting(store, status, &last_lines));
                }
            }
            if patient && started.elapsed() > PATIENCE {
                patient = false;
                let dir = cluster.layout().dir().display();
                bar.suspend(|| say(&format!("still starting; the logs are {dir}/store-*/log.txt")));
            }
        }
    }

    fn banner(
        &self,
        cluster: &Cluster,
        leader: StoreId,
        took: Duration,
        temporary: bool,
    ) -> String {
        let layout = cluster.layout();
        let endpoints = layout.endpoints();
        let (stores, took) = (endpoints.len(), took.as_secs_f64());
        let mut text = format!("Kontiki: {stores} stores serve, after {took:.1} s.\n\n");
        for (site, (_, pid)) in layout.sites().zip(cluster.pids()) {
            let role = if site.id == leader.0 { "   leader" } else { "" };
            let _ = writeln!(text, "  store {}   {}   process {pid}{role}", site.id, site.address);
        }
        let program = program_name();
        text.push_str("\nFrom a second terminal:\n");
        let default_ports = (self.port_base, stores) == (PORT_BASE, 3);
        if !default_ports {
            let _ = writeln!(text, "  export KONTIKI_ENDPOINTS={}", endpoints.join(","));
        }
        for example in ["put hello world", "get hello", "status"] {
            let _ = writeln!(text, "  {program} {example}");
        }
        let dir = layout.dir().display();
        let fate = if temporary {
            "removed at the end; --data-dir DIR keeps it"
        } else {
            "kept; start with the same --data-dir to go on"
        };
        let _ = writeln!(text, "\nData   {dir}   ({fate})");
        if !self.verbose {
            let _ = writeln!(text, "Logs   {dir}/store-<n>/log.txt");
        }
        text.push_str("End    Ctrl-C\n\n");
        text
    }
}

/// How a user would call this program: `kontiki` when that is what the shell would find.
fn program_name() -> String {
    let Ok(own) = std::env::current_exe() else { return "kontiki".to_owned() };
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&path)
        .map(|dir| dir.join("kontiki"))
        .find(|candidate| candidate.is_file())
        .and_then(|candidate| candidate.canonicalize().ok());
    if found.as_deref() == Some(own.as_path()) {
        return "kontiki".to_owned();
    }
    let here = std::env::current_dir().unwrap_or_default();
    own.strip_prefix(&here).unwrap_or(&own).display().to_string()
}

fn died_while_starting(
    store: u64,
    status: std::process::ExitStatus,
    last_lines: &[String],
) -> Failure {
    let mut message = format!("store {store} ended while starting ({status})");
    for line in last_lines {
        let _ = write!(message, "\n  | {line}");
    }
    Failure::new(Code::Machine, message)
}

/// Tends the stores until a signal comes.
fn watch(cluster: &mut Cluster, news: &Receiver<News>) -> Result<(), Failure> {
    loop {
        match news.recv_timeout(TEND_EVERY) {
            Ok(News::Stop) | Err(RecvTimeoutError::Disconnected) => return Ok(()),
            Ok(News::Ready(_)) | Err(RecvTimeoutError::Timeout) => {}
        }
        let events = cluster.tend();
        events.iter().for_each(report);
        // Not when a store dies: scripts that read the file meanwhile find processes, not holes.
        if events.iter().any(|event| matches!(event, Event::Restarted { .. })) {
            cluster.write_state()?;
        }
    }
}

fn report(event: &Event) {
    match event {
        Event::Died { store, status, last_lines, restart_in } => {
            let next = match restart_in {
                Some(wait) => format!("starting it again in {:.1} s", wait.as_secs_f64()),
                None => "it stays down (--no-restart)".to_owned(),
            };
            say(&format!("store {store} ended ({status}); {next}"));
            for line in last_lines {
                say(&format!("  | {line}"));
            }
        }
        Event::Restarted { store, pid } => say(&format!("store {store} runs again, process {pid}")),
        Event::RestartFailed { store, why } => say(&format!("store {store} did not start: {why}")),
    }
}

fn say(text: &str) {
    let (dim, reset) =
        if output::stderr_is_coloured() { ("\x1b[33m", "\x1b[0m") } else { ("", "") };
    let _ = writeln!(io::stderr(), "{dim}{text}{reset}");
}

fn stop(cluster: Cluster, temporary: Option<TempDir>) -> Result<(), Failure> {
    let trouble = cluster.stop();
    if let Some(dir) = temporary {
        let path = dir.path().display().to_string();
        dir.close().map_err(|error| Failure::machine(format!("cannot remove {path}"), error))?;
    }
    match trouble.first() {
        None => Ok(()),
        Some((store, how)) => {
            Err(Failure::new(Code::Machine, format!("store {store} did not stop cleanly: {how}")))
        }
    }
}

/// Ctrl-C, SIGTERM, and a terminal that was closed all end the playground.
fn tell_of_signals(sender: &SyncSender<News>) -> Result<(), Failure> {
    let kinds = [SignalKind::interrupt(), SignalKind::terminate(), SignalKind::hangup()];
    for kind in kinds {
        let mut signals =
            signal(kind).map_err(|error| Failure::machine("cannot listen for signals", error))?;
        let sender = sender.clone();
        tokio::spawn(async move {
            while signals.recv().await.is_some() {
                // A full queue holds the same news already.
                let _ = sender.try_send(News::Stop);
            }
        });
    }
    Ok(())
}
