//! The state machine: one number, and the sum of what was added is the reply.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use kontiki_host::library::{
    Done, Entries, MachineError, SaveSnapshot, SnapshotReader, StateMachine,
};

/// The number is shared with whoever reads it after a read index.
#[derive(Clone, Default)]
pub(crate) struct Counter {
    value: Arc<AtomicI64>,
}

impl Counter {
    pub(crate) fn get(&self) -> i64 {
        self.value.load(Ordering::SeqCst)
    }
}

impl StateMachine for Counter {
    fn apply(&mut self, entries: &mut Entries<'_>) -> Result<(), MachineError> {
        for mut task in entries {
            // On the leader the number is there as it was, and need not be decoded.
            let known = task.done.as_mut().and_then(Done::take_context::<i64>);
            let delta = match known {
                Some(delta) => *delta,
                None => i64::from_le_bytes(task.data.as_ref().try_into()?),
            };
            let sum = self.value.fetch_add(delta, Ordering::SeqCst) + delta;
            if let Some(done) = task.done {
                done.reply(sum.to_string());
            }
        }
        Ok(())
    }

    fn save_snapshot(&self) -> Result<SaveSnapshot, MachineError> {
        let value = self.get();
        Ok(Box::new(move |snapshot| Ok(snapshot.put("value", &value.to_le_bytes())?)))
    }

    fn load_snapshot(&mut self, snapshot: &mut SnapshotReader) -> Result<(), MachineError> {
        let value = snapshot.read("value")?;
        self.value.store(i64::from_le_bytes(value.as_slice().try_into()?), Ordering::SeqCst);
        Ok(())
    }
}
