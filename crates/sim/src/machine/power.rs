//! Loss of power, and the temptations to lose it.

use std::time::Duration;

use kontiki_log::simdisk::Crash;

use crate::env::{Env, Happening};
use crate::fault::before_calm;
use crate::marks::Mark;

use super::Machine;
use super::fuse::FusedEngine;

/// Most operations of a disk before a fuse blows.
const FUSE_OPERATIONS_MAX: u64 = 40;

impl Machine {
    /// Power is lost: what is not durable may be gone, and everything in memory is.
    pub fn power_off(&mut self, env: &mut Env) {
        // While it starts nothing runs yet, but the fuse of a disk may blow.
        if self.running.is_none() && !self.is_fused && !self.ailments.is_excuse() {
            return;
        }
        // When only the process ends, what it wrote is in the hands of the system.
        let only_process = !self.is_fused && self.has_stopped;
        self.has_stopped = false;
        env.tell(format_args!("{} loses power", self.id));
        self.check_owed(env);
        if self.is_fused {
            env.marks.hit(Mark::FuseBlown);
        }
        self.mark_sleeping_leader(env);
        self.mark_saves_cut(env);
        let judged = env.safety.on_power_off(self.id);
        env.judge(judged);
        self.running = None;
        self.life += 1;
        self.is_fused = false;
        self.paused_until = None;
        let mut crash = *self.rng.pick(&[
            Crash::Lose,
            Crash::Lose,
            Crash::Keep,
            Crash::TearLast,
            Crash::TearLast,
            Crash::Subset,
            Crash::Subset,
        ]);
        if only_process {
            env.marks.hit(Mark::StoppedByDisk);
            crash = Crash::Keep;
        }
        let rng = &mut self.rng;
        self.log_disk.crash(crash, &mut || rng.next_u64());
        self.spools.disk().crash(crash, &mut || rng.next_u64());
        let unsynced = self.engine_disk.unsynced_count();
        let keep = if only_process { unsynced } else { self.rng.index(unsynced + 1) };
        if keep < unsynced {
            env.marks.hit(Mark::EngineLostBatches);
        }
        self.engine_disk.crash(keep);
        self.forget_failures();
    }

    /// Power comes back after a while.
    pub fn plan_power_on(&mut self, env: &mut Env) {
        let longest = u64::try_from(env.options.faults.down_max.as_micros()).expect("minutes");
        let down = Duration::from_micros(self.rng.below(longest) + 1);
        let down = before_calm(env.now, down);
        env.after(down, Happening::PowerOn { store: self.id });
    }

    /// Lets the power go in the middle of the work of a disk, soon.
    pub fn light_fuse(&mut self) {
        let operations = self.rng.below(FUSE_OPERATIONS_MAX);
        let Some(running) = &self.running else { return };
        self.is_fused = true;
        if self.rng.chance(500) {
            self.log_disk.power_off_after(operations);
        } else {
            running.rows.store.light(operations / 2);
        }
    }

    /// The same during the start itself.
    pub(super) fn light_fuse_at_start(&mut self, engine: &FusedEngine, env: &Env) {
        if env.is_healed || self.life == 0 {
            return;
        }
        if self.rng.chance(env.options.faults.temptation * 2) {
            self.is_fused = true;
            let operations = self.rng.below(FUSE_OPERATIONS_MAX / 2);
            if self.rng.chance(500) {
                self.log_disk.power_off_after(operations);
            } else {
                engine.light(operations / 4);
            }
        }
    }

    /// The power may go again right after it came.
    pub(super) fn tempt_in_recovery(&mut self, env: &mut Env) {
        if env.is_healed || !self.rng.chance(env.options.faults.temptation * 2) {
            return;
        }
        env.marks.hit(Mark::CrashInRecovery);
        let delay = Duration::from_micros(self.rng.below(3000));
        env.after(delay, Happening::PowerOff { store: self.id, life: self.life });
    }

    /// An interesting moment: if the seed likes it, power is lost within that time.
    pub(super) fn tempt(&mut self, within: Duration, env: &mut Env) {
        if env.is_healed || !self.rng.chance(env.options.faults.temptation) {
            return;
        }
        let micros = u64::try_from(within.as_micros()).expect("short");
        let delay = Duration::from_micros(self.rng.below(micros + 1));
        env.after(delay, Happening::PowerOff { store: self.id, life: self.life });
    }
}
