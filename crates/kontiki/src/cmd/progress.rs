//! Progress bars on standard error: a bar on a terminal, nothing at all elsewhere.

use std::io::IsTerminal;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// A bar over so many bytes of input, or a spinner when nobody knows how many.
pub(crate) fn bar(total_bytes: Option<u64>) -> ProgressBar {
    if !std::io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let (template, bar) = match total_bytes {
        Some(total) => {
            let template = "{bar:30} {percent:>3}%  {msg}  {elapsed} (about {eta} left)";
            (template, ProgressBar::new(total))
        }
        None => ("{spinner} {msg}  {elapsed}", ProgressBar::new_spinner()),
    };
    let style = ProgressStyle::with_template(template);
    bar.set_style(style.expect("the templates above are valid"));
    bar.set_draw_target(ProgressDrawTarget::stderr_with_hz(10));
    bar.enable_steady_tick(Duration::from_millis(200));
    bar
}
