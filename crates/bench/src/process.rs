//! Child processes of a comparison: started with their output in a file, always stopped, by pid.
//!
//! Each child gets a process group of its own: Ctrl-C reaches only this program, which then stops
//! the children in order; and what a child itself started ends with its group, whatever happens.

use std::fs::File;
use std::net::TcpListener;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::Context;
use rustix::process::{Pid, Signal, kill_process, kill_process_group};

/// How long a child may take to end after SIGTERM.
const GRACE: Duration = Duration::from_secs(10);
/// How often it is looked at meanwhile.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// A child that ends with this value.
pub(crate) struct Process {
    child: Child,
    ended: bool,
}

impl Process {
    /// Starts it, output appended to `log`.
    ///
    /// # Errors
    /// When the program or the log file cannot be opened.
    pub(crate) fn start(command: &mut Command, log: &Path) -> anyhow::Result<Self> {
        let out = File::options().create(true).append(true).open(log)?;
        let child = command
            .stdin(Stdio::null())
            .stdout(out.try_clone()?)
            .stderr(out)
            .process_group(0)
            .spawn()
            .with_context(|| format!("start {}", command.get_program().display()))?;
        Ok(Self { child, ended: false })
    }

    /// Its process id.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// It has ended.
    pub(crate) fn has_ended(&mut self) -> bool {
        self.ended |= !matches!(self.child.try_wait(), Ok(None));
        self.ended
    }

    /// SIGKILL, at once, and waits until the kernel has taken it away.
    pub(crate) fn kill(&mut self) {
        if !self.has_ended() {
            // It can only have ended meanwhile, which is what is wanted.
            let _ = self.child.kill();
            let _ = self.child.wait();
            self.ended = true;
        }
    }

    /// SIGTERM, and SIGKILL to the whole group of a child that does not listen.
    pub(crate) fn stop(&mut self) {
        let pid = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw);
        let pid = pid.expect("a child has a positive id");
        if self.has_ended() {
            // Its own children may be left; the group exists as long as one of them does.
            let _ = kill_process_group(pid, Signal::KILL);
            return;
        }
        let _ = kill_process(pid, Signal::TERM);
        let deadline = Instant::now() + GRACE;
        while !self.has_ended() && Instant::now() < deadline {
            std::thread::sleep(LOOK_EVERY);
        }
        // Normally nobody is left and this finds no group.
        let _ = kill_process_group(pid, Signal::KILL);
        let _ = self.child.wait();
        self.ended = true;
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.stop();
    }
}

/// Refuses ports that somebody listens on: a leftover would be measured in place of the child.
///
/// # Errors
/// Names the first port that is taken.
pub(crate) fn check_free(ports: impl IntoIterator<Item = u16>) -> anyhow::Result<()> {
    for port in ports {
        TcpListener::bind(("127.0.0.1", port)).with_context(|| {
            format!("port {port} is taken: stop what listens there (a leftover of an earlier run?)")
        })?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_child_and_what_it_started_are_stopped() {
        let dir = tempfile::tempdir().unwrap();
        let log = dir.path().join("log");
        let script = "sleep 1000 & echo $!; wait";
        let mut child = Process::start(Command::new("sh").args(["-c", script]), &log).unwrap();
        let grandchild = loop {
            let text = std::fs::read_to_string(&log).unwrap();
            if let Some(pid) = text.strip_suffix('\n') {
                break pid.to_owned();
            }
            assert!(!child.has_ended(), "the shell ended: {text}");
            std::thread::yield_now();
        };
        child.stop();
        assert!(child.has_ended());
        // Gone, or a zombie that nobody reaps: it runs no more.
        let deadline = Instant::now() + GRACE;
        let status = format!("/proc/{grandchild}/status");
        while let Ok(text) = std::fs::read_to_string(&status)
            && !text.contains("State:\tZ")
        {
            assert!(Instant::now() < deadline, "{grandchild} still runs");
            std::thread::yield_now();
        }
    }

    #[test]
    fn a_taken_port_is_refused() {
        let taken = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let port = taken.local_addr().unwrap().port();
        let error = check_free([port]).unwrap_err().to_string();
        assert!(error.contains(&port.to_string()), "{error}");
    }
}
