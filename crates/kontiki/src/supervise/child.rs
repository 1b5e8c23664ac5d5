//! One store process as its parent sees it: started with the flags of `kontiki serve`, signalled,
//! reaped. Called by [`super::Cluster`] only.

use std::fs::{File, OpenOptions};
use std::io::{Read, Seek, SeekFrom};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use super::{Layout, Settings, Site};
use crate::exit::Failure;

/// How often a stopping child is looked at.
const REAP_EVERY: Duration = Duration::from_millis(5);
/// How much of a log is shown when a store dies.
const LAST_LINES: usize = 8;
/// How much of a log is read for that.
const LAST_BYTES: u64 = 16 * 1024;

/// A running store.
pub(super) struct Child {
    process: std::process::Child,
    started: Instant,
}

impl Child {
    /// Starts `kontiki serve` for this site, with this very executable.
    pub(super) fn start(
        layout: &Layout,
        site: &Site,
        settings: &Settings,
    ) -> Result<Self, Failure> {
        let program = std::env::current_exe()
            .map_err(|error| Failure::machine("cannot find my own executable", error))?;
        std::fs::create_dir_all(&site.dir).map_err(|error| {
            Failure::machine(format!("cannot make {}", site.dir.display()), error)
        })?;
        let mut command = Command::new(program);
        // What the user exported for clients, or for a store of their own, is not for these.
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("KONTIKI_") {
                command.env_remove(name);
            }
        }
        command
            .arg("serve")
            .args(["--parent-pid", &std::process::id().to_string()])
            .args(["--store-id", &site.id.to_string()])
            .arg("--data-dir")
            .arg(&site.dir)
            .args(["--listen", &site.address])
            .args(["--initial-cluster", &layout.initial_cluster()]);
        if let Some(engine) = &settings.engine {
            command.args(["--engine", engine]);
        }
        if let Some(level) = &settings.log_level {
            command.args(["--log-level", level]);
        }
        let output = |log: Option<File>| log.map_or_else(Stdio::inherit, Stdio::from);
        let log = if settings.verbose { None } else { Some(open_log(&site.log())?) };
        let process = command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(output(log))
            // Ctrl-C in the terminal is for the parent, which stops its stores in order.
            .process_group(0)
            .spawn()
            .map_err(|error| Failure::machine(format!("cannot start store {}", site.id), error))?;
        Ok(Self { process, started: Instant::now() })
    }

    /// Its process id.
    pub(super) fn pid(&self) -> u32 {
        self.process.id()
    }

    /// Since when it runs.
    pub(super) fn age(&self) -> Duration {
        self.started.elapsed()
    }

    /// How it ended, if it did.
    pub(super) fn exited(&mut self) -> Option<ExitStatus> {
        // An error would mean that the child was reaped elsewhere, which nothing here does.
        self.process.try_wait().ok().flatten()
    }

    /// How it ended, if it does so in time.
    pub(super) fn wait_until(&mut self, deadline: Instant) -> Option<ExitStatus> {
        loop {
            let status = self.exited();
            if status.is_some() || Instant::now() >= deadline {
                return status;
            }
            std::thread::sleep(REAP_EVERY);
        }
    }

    /// Sends a signal; false when it runs no more. Its id cannot have been given to another
    /// process, because only this struct reaps it.
    pub(super) fn signal(&self, signal: Signal) -> bool {
        let pid = i32::try_from(self.process.id()).ok().and_then(Pid::from_raw);
        pid.is_some_and(|pid| kill_process(pid, signal).is_ok())
    }

    /// Kills it as `kill -9` does, and reaps it. False when it had ended before.
    pub(super) fn kill(mut self) -> bool {
        let was_running = self.exited().is_none();
        let killed = self.process.kill().is_ok();
        let reaped = self.process.wait().is_ok();
        was_running && killed && reaped
    }
}

fn open_log(path: &Path) -> Result<File, Failure> {
    OpenOptions::new()
        .create(true)
        .append(true)
        .open(path)
        .map_err(|error| Failure::machine(format!("cannot open {}", path.display()), error))
}

/// The end of a log; empty when it cannot be read.
pub(super) fn last_lines(path: &Path) -> Vec<String> {
    let read = || -> std::io::Result<String> {
        let mut file = File::open(path)?;
        let length = file.metadata()?.len();
        file.seek(SeekFrom::Start(length.saturating_sub(LAST_BYTES)))?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes)?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    };
    let text = read().unwrap_or_default();
    let lines: Vec<&str> = text.lines().filter(|line| !line.trim().is_empty()).collect();
    lines[lines.len().saturating_sub(LAST_LINES)..].iter().map(ToString::to_string).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_lines_of_a_log_are_shown() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log.txt");
        let text: String = "line\n\n".repeat(5000) + "line 5000\n";
        std::fs::write(&path, text).unwrap();
        let lines = last_lines(&path);
        assert_eq!(lines.len(), LAST_LINES);
        assert_eq!(lines[LAST_LINES - 1], "line 5000");
        assert!(last_lines(&dir.path().join("none")).is_empty());
    }
}
