//! Power goes in the middle of the installation of a snapshot; the next start installs it again.

use crate::marks::Mark;
use crate::script::cut_off_install::narrow;

use super::hold;

#[test]
fn an_install_that_was_cut_off_is_run_again() {
    let reached = [Mark::SnapshotInstalled, Mark::InstallCrashed, Mark::InstallResumed];
    hold(30, 30, narrow, &reached);
}
