//! JRaft's counter: a number replicated over three processes, written through the leader, read
//! linearizably from any of them.
//!
//! `cargo run -p kontiki-host --example counter` starts three stores (this program again), adds,
//! reads everywhere, kills the leader, goes on, and stops them. By hand, one store is
//! `… counter serve STORE DIR CONFIGURATION CLIENT_ADDRESS`; its clients speak lines:
//! `add N`, `get`, `leader`.

#![expect(clippy::print_stdout, reason = "an example that tells what it does")]

mod demo;
mod machine;
mod server;

type Outcome<T> = Result<T, Box<dyn std::error::Error>>;

fn main() -> Outcome<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments.as_slice() {
        ["serve", store, dir, conf, clients] => server::serve(store.parse()?, dir, conf, clients),
        [] => demo::run(),
        _ => Err("usage: counter [serve STORE DIR CONFIGURATION CLIENT_ADDRESS]".into()),
    }
}
