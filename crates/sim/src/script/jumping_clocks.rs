//! Wall clocks jump ahead and back all the time, while clients try again what was not answered.
//! A session must outlive that: its client is there, and has been all along.

use std::time::Duration;

use crate::fault::Fault;
use crate::options::Options;

/// Leaders change, so that clocks do; answers get lost.
pub(super) fn narrow(options: &mut Options) {
    options.faults.hat = vec![Fault::WallStep, Fault::WallStep, Fault::WallStep];
    options.faults.hat.extend([Fault::Transfer, Fault::Transfer, Fault::LossBurst]);
    options.faults.every_mean = Duration::from_millis(300);
    options.network.loss = 200;
}
