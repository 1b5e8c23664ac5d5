//! Runs the golden scripts of `testscripts/`: commands on a group, and the full trace of what
//! followed. Update with `UPDATE_GOLDENFILES=1`, then read every changed line.
//!
//! A line that begins with `»` is a message that arrives; indented lines are what a node did about
//! it: state changes, notices, its store operation, messages (`, after #2`: once that operation is
//! durable), reads. Nothing happens by itself: messages wait in the network until `deliver`, disks
//! until `sync`, state machines until `apply`; `settle` does all of it until nothing is left.

use std::error::Error;
use std::path::Path;
use std::time::Duration;

use bytes::Bytes;
use kontiki_types::{
    AppendOutcome, Body, Entry, EntryKind, Index, Membership, MembershipChange, Message, Peer,
    PeerChange, PeerId, PeerRole, Position, ReadMode, StoreId, Term,
};

use crate::testing::codec;
use crate::testing::group::Group;
use crate::{Priority, ReadId, describe};

test_each_file::test_each_path! { in "./crates/raft/src/testscripts" as scripts => run }

fn run(path: &Path) {
    goldenscript::run(&mut Script::default(), path).expect("a script that can be read");
}

/// What a script can say. Peers are numbers.
#[derive(goldenscript::Command)]
enum Command {
    /// Create a group of so many voters, then learners; the last `unborn` peers await a snapshot.
    Group {
        voters: u64,
        #[arg(key, optional)]
        learners: u64,
        #[arg(key, optional)]
        unborn: u64,
        /// Replicas that belong to nothing yet, after all others.
        #[arg(key, optional)]
        spares: u64,
        /// Exact membership in place of the counts, as in `1v 2v 3l`.
        #[arg(key)]
        members: Option<String>,
        #[arg(key)]
        window: Option<usize>,
        #[arg(key)]
        window_bytes: Option<usize>,
        #[arg(key)]
        append_bytes: Option<usize>,
        #[arg(key)]
        apply_bytes: Option<usize>,
        #[arg(key)]
        uncommitted_bytes: Option<usize>,
        #[arg(key)]
        reads: Option<usize>,
        /// Entries a new voter may lack.
        #[arg(key)]
        margin: Option<u64>,
        /// Fall asleep after so many quiet election timeouts.
        #[arg(key)]
        hibernate: Option<u32>,
        /// Priorities of the peers, in order, separated by commas.
        #[arg(key)]
        priorities: Option<String>,
        #[arg(key)]
        transfer_lag: Option<u64>,
        #[arg(key)]
        read_lag: Option<u64>,
        /// Bytes of durable entries kept in memory.
        #[arg(key)]
        cache: Option<usize>,
        /// Milliseconds before an idle follower is told a commit; else at once.
        #[arg(key, optional)]
        notice: u64,
    },
    /// Elect this peer and let everything come to rest, unseen.
    Elect(u64),
    /// Ask for an election.
    Campaign(u64),
    /// Append entries at this peer, one for each word.
    Propose(u64, Vec<String>),
    /// Append one entry if the term is the expected one.
    ProposeIn { peer: u64, term: u64, data: String },
    /// Ask for a read index.
    Read {
        peer: u64,
        reads: Vec<u64>,
        #[arg(key, optional)]
        lease: bool,
    },
    /// Change the membership at this peer, as in `"add 4, learn 5, promote 3, demote 2, remove 1"`.
    Change(u64, String),
    /// Force a membership on this peer, as in `"1v 2v"`.
    Reset(u64, String),
    /// Destroy this replica and create one that knows nothing under the same id.
    Replace(u64),
    /// Hand leadership from one peer to another, or to whoever is best.
    Transfer(u64, Option<u64>),
    /// Lead no more.
    StepDown(u64),
    /// What a peer takes for the priority of another (or of its own).
    Priority { peer: u64, of: u64, priority: i32 },
    /// Another election timeout of a peer, in milliseconds.
    ElectionTimeout(u64, u64),
    /// Let the oldest messages arrive.
    Deliver {
        #[arg(key)]
        from: Option<u64>,
        #[arg(key)]
        to: Option<u64>,
        #[arg(key)]
        count: Option<usize>,
    },
    /// Lose the oldest messages.
    Drop {
        #[arg(key)]
        from: Option<u64>,
        #[arg(key)]
        to: Option<u64>,
        #[arg(key)]
        count: Option<usize>,
    },
    /// Put the oldest messages aside; `copy` leaves them under way as well.
    Hold {
        #[arg(key)]
        from: Option<u64>,
        #[arg(key)]
        to: Option<u64>,
        #[arg(key)]
        count: Option<usize>,
        #[arg(key, optional)]
        copy: bool,
    },
    /// What was put aside arrives.
    Release,
    /// Operations become durable: so many, or all, those that follow from them included.
    Sync {
        peer: u64,
        #[arg(key)]
        count: Option<usize>,
    },
    /// Apply what was handed out.
    Apply(u64),
    /// Deliver, sync and apply until nothing is left to do.
    Settle,
    /// So many milliseconds pass; nobody is told.
    Wait(u64),
    /// Tell these peers the time.
    Time(Vec<u64>),
    /// Let time pass until this peer's deadline, and tell it.
    Timeout(u64),
    /// Cut a peer off, or only its link to another, both ways.
    Cut(u64, Option<u64>),
    /// Mend all links.
    Heal,
    /// Lose power; of the operations on their way, so many reached the disk.
    Crash {
        peer: u64,
        #[arg(key, optional)]
        kept: usize,
    },
    /// Start again.
    Start(u64),
    /// Cut the log.
    Compact(u64, u64),
    /// The disk gives back entries that were asked for, or says that it lacks them.
    Fetch(u64, Option<String>),
    /// Stream a snapshot that was asked for.
    Stream(u64, Option<String>),
    /// Install a snapshot that arrived.
    Install(u64, Option<String>),
    /// Only the state machine has it; the node is not told yet.
    InstallMachine(u64),
    /// A sleeper is woken from above.
    Wake(u64),
    /// Everyone lives so many milliseconds: time passes from deadline to deadline, unseen.
    Live(u64),
    /// The transport lost its way.
    Unreachable(u64, u64),
    /// A message that no node sent in this script: from, to, term, what.
    Inject {
        from: u64,
        to: u64,
        term: u64,
        kind: String,
        #[arg(key, optional)]
        index: u64,
        #[arg(key, optional)]
        index_term: u64,
        #[arg(key, optional)]
        session: u64,
        #[arg(key, optional)]
        data: String,
    },
    /// How these peers stand.
    Status(#[arg(many, optional)] Vec<u64>),
    /// All there is to say about a peer.
    Report(u64),
    /// How far a leader's followers are.
    Progress(u64),
    /// The membership in effect at these peers.
    Members(#[arg(many, optional)] Vec<u64>),
    /// A peer's log in memory.
    Log(u64),
    /// What is durable.
    Disk(u64),
    /// What a state machine holds.
    State(u64),
    /// What is under way.
    Network,
}

#[derive(Default)]
struct Script {
    group: Option<Group>,
}

type Result<T> = std::result::Result<T, Box<dyn Error>>;

impl goldenscript::Runner for Script {
    type Command = Command;

    fn run(&mut self, command: &Command, _: &goldenscript::Context) -> Result<String> {
        if let Some(group) = create(command) {
            self.group = Some(group);
        } else {
            let group = self.group.as_mut().ok_or("begin with `group`")?;
            let said = event(group, command)?;
            let looked = look(group, command);
            return Ok(group.take_trace() + &said + &looked);
        }
        Ok(self.group.as_mut().map(Group::take_trace).unwrap_or_default())
    }
}

fn create(command: &Command) -> Option<Group> {
    let Command::Group { voters, learners, unborn, spares, members, .. } = command else {
        return None;
    };
    let count = voters + learners;
    let role = |n| if n <= *voters { PeerRole::Voter } else { PeerRole::Learner };
    let peer = |n| Peer { id: PeerId(n), store: StoreId(n), role: role(n) };
    let membership = match members {
        Some(text) => codec::decode(Bytes::from(text.clone())).expect("a membership"),
        None => Membership::new((1..=count).map(peer)),
    };
    let unborn: Vec<PeerId> = (count - unborn + 1..=count).map(PeerId).collect();
    let configure = |config: &mut crate::Config| configure(config, command);
    let mut group = Group::with_unborn(&membership, &unborn, configure);
    let last = membership.peers().last().map_or(0, |peer| peer.id.0);
    (last + 1..=last + spares).for_each(|spare| group.add_spare(PeerId(spare), configure));
    Some(group)
}

fn configure(config: &mut crate::Config, command: &Command) {
    let Command::Group {
        window,
        window_bytes,
        append_bytes,
        apply_bytes,
        uncommitted_bytes,
        reads,
        margin,
        hibernate,
        priorities,
        transfer_lag,
        read_lag,
        cache,
        notice,
        ..
    } = command
    else {
        return;
    };
    let set = |field: &mut usize, value: &Option<usize>| *field = value.unwrap_or(*field);
    set(&mut config.options.inflight_messages_max, window);
    set(&mut config.options.inflight_bytes_max, window_bytes);
    set(&mut config.options.append_bytes_max, append_bytes);
    set(&mut config.options.apply_bytes_max, apply_bytes);
    set(&mut config.options.uncommitted_bytes_max, uncommitted_bytes);
    set(&mut config.reads_max, reads);
    set(&mut config.cache_bytes_max, cache);
    config.options.catch_up_entries_max = margin.unwrap_or(config.options.catch_up_entries_max);
    config.hibernate_after = *hibernate;
    config.options.transfer_lag_max = transfer_lag.unwrap_or(config.options.transfer_lag_max);
    config.options.read_lag_max = *read_lag;
    let priorities = priorities.iter().flat_map(|list| list.split(','));
    let priorities = priorities.map(|word| Priority(word.parse().expect("a priority")));
    config.priorities = (1..).map(PeerId).zip(priorities).collect();
    config.commit_notice_delay = Duration::from_millis(*notice);
}

/// Commands that make something happen.
fn event(group: &mut Group, command: &Command) -> Result<String> {
    match command {
        Command::Elect(peer) => elect(group, PeerId(*peer)),
        Command::Campaign(peer) => group.campaign(PeerId(*peer)),
        Command::Propose(peer, words) => {
            for word in words {
                group.propose(PeerId(*peer), Bytes::from(word.clone()))?;
            }
        }
        Command::ProposeIn { peer, term, data } => {
            let term = Term(*term);
            group.propose_in(PeerId(*peer), Bytes::from(data.clone()), Some(term))?;
        }
        Command::Read { peer, reads, lease } => {
            let mode = if *lease { ReadMode::Lease } else { ReadMode::Index };
            for &read in reads {
                group.read_by(PeerId(*peer), ReadId(read), mode)?;
            }
        }
        Command::Change(peer, steps) => group.change(PeerId(*peer), &change(steps)?)?,
        Command::Reset(peer, members) => {
            let members = codec::decode(Bytes::from(members.clone())).ok_or("no membership")?;
            group.reset_peers(PeerId(*peer), members)?;
        }
        Command::Replace(peer) => group.replace(PeerId(*peer)),
        Command::Sync { peer, count } => {
            let mut left = count.unwrap_or(usize::MAX);
            while left > 0 && group.sync(PeerId(*peer)) {
                left -= 1;
            }
        }
        Command::Apply(peer) => drop(group.apply(PeerId(*peer))),
        Command::Settle => group.run_until_idle(),
        Command::Wait(ms) => group.now = group.now + Duration::from_millis(*ms),
        Command::Time(peers) => peers.iter().for_each(|&peer| group.on_time(PeerId(peer))),
        Command::Timeout(peer) => {
            let deadline = group.node(PeerId(*peer)).next_deadline().ok_or("no deadline")?;
            group.now = group.now.max(deadline);
            group.on_time(PeerId(*peer));
        }
        Command::Crash { peer, kept } => group.crash(PeerId(*peer), *kept),
        Command::Start(peer) => group.start(PeerId(*peer)),
        Command::Compact(peer, to) => {
            let start = group.compact(PeerId(*peer), Index(*to));
            return Ok(start.map_or("stays\n".into(), |start| format!("starts after {start}\n")));
        }
        Command::Fetch(peer, fail) => {
            found(group.fetch(PeerId(*peer), fail.is_none()), "nothing was asked")?;
        }
        Command::Stream(peer, fail) => {
            found(group.stream_snapshot(PeerId(*peer), fail.is_none()), "no snapshot is wanted")?;
        }
        Command::Install(peer, fail) => {
            found(group.install(PeerId(*peer), fail.is_none()), "nothing to install")?;
        }
        Command::InstallMachine(peer) => {
            found(group.install_machine(PeerId(*peer), true), "nothing to install")?;
        }
        Command::Wake(peer) => group.wake(PeerId(*peer)),
        Command::Live(ms) => {
            group.live(Duration::from_millis(*ms));
            group.take_trace();
        }
        Command::Unreachable(peer, to) => group.unreachable(PeerId(*peer), PeerId(*to)),
        _ => return leadership(group, command),
    }
    Ok(String::new())
}

/// Commands about who leads.
fn leadership(group: &mut Group, command: &Command) -> Result<String> {
    match command {
        Command::Transfer(peer, Some(to)) => group.transfer(PeerId(*peer), PeerId(*to))?,
        Command::Transfer(peer, None) => group.transfer_to_any(PeerId(*peer))?,
        Command::StepDown(peer) => group.step_down(PeerId(*peer)),
        Command::Priority { peer, of, priority } => {
            group.set_priority(PeerId(*peer), PeerId(*of), Priority(*priority));
        }
        Command::ElectionTimeout(peer, ms) => {
            group.set_election_timeout(PeerId(*peer), Duration::from_millis(*ms));
        }
        _ => return network(group, command),
    }
    Ok(String::new())
}

/// Steps of a change, in words.
fn change(steps: &str) -> Result<MembershipChange> {
    let step = |step: &str| {
        let (what, number) = step.trim().split_once(' ').ok_or("a step is a verb and a peer")?;
        let number = number.parse()?;
        let (peer, store) = (PeerId(number), StoreId(number));
        Ok(match what {
            "add" => PeerChange::AddVoter { peer, store },
            "learn" => PeerChange::AddLearner { peer, store },
            "promote" => PeerChange::Promote(peer),
            "demote" => PeerChange::Demote(peer),
            "remove" => PeerChange::Remove(peer),
            _ => return Err(format!("cannot {what} a peer").into()),
        })
    };
    steps.split(',').map(step).collect::<Result<Vec<_>>>().map(MembershipChange::new)
}

fn found(found: bool, otherwise: &str) -> Result<()> {
    if found { Ok(()) } else { Err(otherwise.into()) }
}

/// Commands about messages and links.
fn network(group: &mut Group, command: &Command) -> Result<String> {
    match command {
        Command::Deliver { from, to, count } => {
            for message in pick(group, *from, *to, *count) {
                group.deliver(message);
            }
        }
        Command::Drop { from, to, count } => {
            return Ok(rendered("lost ", &pick(group, *from, *to, *count)));
        }
        Command::Hold { from, to, count, copy } => {
            let messages = pick(group, *from, *to, *count);
            if *copy {
                for message in messages.clone() {
                    group.network.send(message);
                }
            }
            let output = rendered("held ", &messages);
            group.network.held.extend(messages);
            return Ok(output);
        }
        Command::Release => {
            for message in std::mem::take(&mut group.network.held) {
                group.deliver(message);
            }
        }
        Command::Cut(peer, other) => {
            let others: Vec<PeerId> = match other {
                Some(other) => vec![PeerId(*other)],
                None => group.replicas.keys().copied().collect(),
            };
            for other in others {
                group.network.set_cut(PeerId(*peer), other, true);
                group.network.set_cut(other, PeerId(*peer), true);
            }
        }
        Command::Heal => group.network.heal(),
        Command::Inject { from, to, term, kind, index, index_term, session, data } => {
            let (from, to, term) = (PeerId(*from), PeerId(*to), Term(*term));
            let position = Position::new(Term(*index_term), Index(*index));
            let body = invent(kind, term, position, *session, data)?;
            group.deliver(Message { from, to, term, body });
        }
        _ => {}
    }
    Ok(String::new())
}

fn pick(
    group: &mut Group,
    from: Option<u64>,
    to: Option<u64>,
    count: Option<usize>,
) -> Vec<Message> {
    group.network.take_matching(count.unwrap_or(usize::MAX), |message| {
        from.is_none_or(|from| message.from == PeerId(from))
            && to.is_none_or(|to| message.to == PeerId(to))
    })
}

fn rendered(prefix: &str, messages: &[Message]) -> String {
    let line = |message| [prefix, &describe::message(message), "\n"].concat();
    messages.iter().map(line).collect()
}

/// The few messages that only a late or foreign peer would send.
fn invent(kind: &str, term: Term, at: Position, session: u64, data: &str) -> Result<Body> {
    let reply = |outcome| Body::AppendReply { session, outcome, round: 0 };
    let append = |kind| {
        let data = Bytes::from(data.to_owned());
        let entry = Entry { position: Position::new(term, at.index.next()), kind, data };
        Body::Append { session, prev: at, entries: vec![entry], commit: Index(0), round: 0 }
    };
    Ok(match kind {
        "pre-vote" => Body::PreVote { last: at },
        "pre-vote-granted" => Body::PreVoteReply { granted: true },
        "vote" => Body::Vote { last: at, transfer: false },
        "vote-granted" => Body::VoteReply { granted: true },
        "vote-refused" => Body::VoteReply { granted: false },
        "append" => append(EntryKind::Normal),
        "config" => append(EntryKind::Config),
        // Of a leader that has committed far more.
        "probe" => {
            let (entries, commit) = (Vec::new(), at.index + 9);
            Body::Append { session, prev: at, entries, commit, round: 0 }
        }
        "accepted" => reply(AppendOutcome::Accepted { matched: at.index }),
        "rejected" => reply(AppendOutcome::Rejected { prev: at.index, hint: Position::ZERO }),
        "heartbeat" => Body::Heartbeat { session, commit: at.index, round: 0 },
        "sleep" => Body::Sleep { session, commit: at },
        "campaign-now" => Body::TimeoutNow,
        "succeed" => Body::Succeed { store: StoreId(session) },
        "campaign-refused" => Body::TimeoutNowRefused,
        "read-reply" => Body::ReadIndexReply { id: session, index: Some(at.index) },
        _ => return Err(format!("cannot invent {kind}").into()),
    })
}

/// Commands that only look.
fn look(group: &Group, command: &Command) -> String {
    match command {
        Command::Status(peers) => {
            let all = group.replicas.keys().copied().collect();
            let peers = if peers.is_empty() { all } else { ids(peers) };
            let line = |peer: &PeerId| match &group.replicas[peer].node {
                Some(node) => node.describe() + "\n",
                None => format!("{peer} is down\n"),
            };
            peers.iter().map(line).collect()
        }
        Command::Report(peer) => group.node(PeerId(*peer)).report(group.now) + "\n",
        Command::Members(peers) => {
            let peers = if peers.is_empty() { group.running() } else { ids(peers) };
            let line = |&peer: &PeerId| {
                let members = describe::membership(group.node(peer).membership());
                format!("{peer} {members}\n")
            };
            peers.iter().map(line).collect()
        }
        Command::Progress(peer) => {
            let progress = group.node(PeerId(*peer)).progress();
            progress.iter().map(|p| describe::progress(p) + "\n").collect()
        }
        Command::Log(peer) => {
            let log = &group.node(PeerId(*peer)).shared.log;
            let entries: Vec<_> = log.entries().cloned().collect();
            format!("after {} {}\n", log.start(), describe::entries(&entries))
        }
        Command::Disk(peer) => {
            let stored = group.replicas[&PeerId(*peer)].disk.stored();
            let vote = stored.hard_state.vote.map_or("-".into(), |vote| vote.to_string());
            let (term, commit) = (stored.hard_state.term, stored.hard_state.commit);
            let log = describe::entries(&stored.entries);
            let start = stored.snapshot.position;
            format!("{term} vote {vote} commit {commit}, after {start} {log}\n")
        }
        Command::State(peer) => {
            let state = group.replicas[&PeerId(*peer)].machine.state();
            let payloads: Vec<String> =
                state.payloads.iter().map(|data| data.escape_ascii().to_string()).collect();
            format!("at {}: {}\n", state.position, payloads.join(" "))
        }
        Command::Network => rendered("", group.network.under_way()),
        _ => String::new(),
    }
}

fn ids(peers: &[u64]) -> Vec<PeerId> {
    peers.iter().map(|&peer| PeerId(peer)).collect()
}

fn elect(group: &mut Group, peer: PeerId) {
    group.campaign(peer);
    group.run_until_idle();
    assert_eq!(group.node(peer).leader(), Some(peer), "{peer} was not elected");
    group.take_trace();
}
