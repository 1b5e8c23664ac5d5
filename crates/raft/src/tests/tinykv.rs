//! What TinyKV's tests of projects 2A and 3A ask of a Raft core, where neither a golden script nor
//! a rule of the paper shows it already. `docs/acceptance/tinykv.md` says which test covers which.

use std::time::Duration;

use bytes::Bytes;
use kontiki_types::{
    Body, Entry, EntryKind, HardState, Index, Membership, MembershipChange, Message, PeerChange,
    PeerId, Position, StoreId, Term,
};

use crate::testing::disk::{Disk, Stored};
use crate::testing::group::Group;
use crate::{ChangeError, RoleKind, TransferError};

const P1: PeerId = PeerId(1);
const P2: PeerId = PeerId(2);
const P3: PeerId = PeerId(3);

fn group(voters: u64) -> Group {
    Group::new(&Membership::of_voters(voters), |_| {})
}

/// A group of this many voters led by peer 1.
fn led(voters: u64) -> Group {
    let mut group = group(voters);
    elect(&mut group, P1);
    group
}

fn elect(group: &mut Group, peer: PeerId) {
    group.campaign(peer);
    group.run_until_idle();
    assert_eq!(group.node(peer).role(), RoleKind::Leader, "{}", group.node(peer).describe());
}

/// Peers that hold entries of these terms, from index 1 on, and know no later term.
fn with_logs(logs: &[&[u64]]) -> Group {
    let mut group = group(logs.len() as u64);
    for (peer, terms) in (1..).map(PeerId).zip(logs) {
        group.crash(peer, 0);
        let disk = &mut group.replicas.get_mut(&peer).unwrap().disk;
        let entry = |(index, term)| {
            let position = Position::new(Term(term), Index(index));
            let data = Bytes::from(position.to_string());
            Entry { position, kind: EntryKind::Normal, data }
        };
        let entries: Vec<Entry> = (1..).zip(terms.iter().copied()).map(entry).collect();
        let term = entries.last().map_or(Term(0), |entry| entry.position.term);
        let hard_state = HardState { term, vote: None, commit: Index(0) };
        let snapshot = disk.stored().snapshot.clone();
        *disk = Disk::new(Stored { hard_state, snapshot, entries });
        group.start(peer);
    }
    // A voter that starts keeps the promise it may have given a leader before.
    group.now = group.now + Duration::from_secs(2);
    group
}

fn terms(group: &Group, peer: PeerId) -> Vec<u64> {
    group.node(peer).shared.log.entries().map(|entry| entry.position.term.0).collect()
}

fn set_cut(group: &mut Group, peer: PeerId, others: &[PeerId]) {
    for &other in others {
        group.network.set_cut(peer, other, true);
        group.network.set_cut(other, peer, true);
    }
}

/// Time passes until this peer's deadline, and it alone is told.
fn time_out(group: &mut Group, peer: PeerId) {
    let deadline = group.node(peer).next_deadline().expect("a deadline");
    group.now = group.now.max(deadline);
    group.on_time(peer);
}

/// A group in which peer 1 plays each part in turn, nobody hears of a leader but itself.
fn in_every_role() -> Vec<Group> {
    use RoleKind::{Candidate, Follower, Leader, PreCandidate};
    let follower = group(3);
    let mut pre_candidate = group(3);
    time_out(&mut pre_candidate, P1);
    let mut candidate = group(3);
    time_out(&mut candidate, P1);
    let grant = Body::PreVoteReply { granted: true };
    candidate.deliver(Message { from: P2, to: P1, term: Term(1), body: grant });
    let groups = vec![follower, pre_candidate, candidate, led(3)];
    let roles: Vec<RoleKind> = groups.iter().map(|group| group.node(P1).role()).collect();
    assert_eq!(roles, [Follower, PreCandidate, Candidate, Leader]);
    groups
}

#[test]
fn an_election_is_won_iff_a_quorum_is_up() {
    let table = [
        (1, 0, true),
        (3, 0, true),
        (3, 1, true),
        (3, 2, false),
        (4, 1, true),
        (4, 2, false),
        (5, 2, true),
        (5, 3, false),
        (7, 3, true),
        (7, 4, false),
    ];
    for (voters, down, won) in table {
        let mut group = group(voters);
        (0..down).for_each(|n| group.crash(PeerId(voters - n), 0));
        group.campaign(P1);
        group.run_until_idle();
        assert_eq!(group.node(P1).role() == RoleKind::Leader, won, "{down} of {voters} are down");
    }
}

#[test]
fn every_voter_can_be_elected_in_turn() {
    let mut group = group(3);
    for peer in [P1, P2, P3, P1] {
        group.now = group.now + Duration::from_secs(5);
        elect(&mut group, peer);
        let leaders = group.replicas.values().flat_map(|r| &r.node);
        assert_eq!(leaders.filter(|n| n.role() == RoleKind::Leader).count(), 1);
    }
}

#[test]
fn a_vote_in_a_newer_term_is_given_in_every_role() {
    for mut group in in_every_role() {
        let (role, last) = (group.node(P1).role(), Position::new(Term(8), Index(9)));
        // A transfer, so that a live leader is no reason to refuse.
        let body = Body::Vote { last, transfer: true };
        group.deliver(Message { from: P2, to: P1, term: Term(9), body });
        let node = group.node(P1);
        assert_eq!((node.vote(), node.term()), (Some(P2), Term(9)), "{role:?}");
        assert_eq!((node.role(), node.leader()), (RoleKind::Follower, None), "{role:?}");
    }
}

#[test]
fn a_leader_of_a_newer_term_is_followed_in_every_role() {
    let bodies = [
        Body::Heartbeat { session: 1, commit: Index(0), round: 0 },
        Body::Append {
            session: 1,
            prev: Position::new(Term(8), Index(9)),
            entries: Vec::new(),
            commit: Index(0),
            round: 0,
        },
    ];
    for body in bodies {
        for mut group in in_every_role() {
            let role = group.node(P1).role();
            group.deliver(Message { from: P2, to: P1, term: Term(9), body: body.clone() });
            let node = group.node(P1);
            let expected = (RoleKind::Follower, Term(9), Some(P2));
            assert_eq!((node.role(), node.term(), node.leader()), expected, "{role:?}: {body:?}");
        }
    }
}

#[test]
fn only_a_leader_sends_heartbeats() {
    for mut group in in_every_role() {
        let role = group.node(P1).role();
        group.network.take_matching(usize::MAX, |_| true);
        time_out(&mut group, P1);
        let is_heartbeat = |message: &Message| matches!(message.body, Body::Heartbeat { .. });
        let count = group.network.take_matching(usize::MAX, is_heartbeat).len();
        assert_eq!(count, if role == RoleKind::Leader { 2 } else { 0 }, "{role:?}");
    }
}

#[test]
fn a_leader_does_not_campaign() {
    let mut group = led(3);
    group.take_trace();
    group.campaign(P1);
    assert_eq!(group.take_trace(), "");
    assert_eq!((group.node(P1).role(), group.node(P1).term()), (RoleKind::Leader, Term(1)));
}

#[test]
fn votes_are_given_by_the_log() {
    // Our log, the end of the candidate's, and whether it gets the vote.
    let table: [(&[u64], (u64, u64), bool); 12] = [
        (&[], (0, 0), true),
        (&[], (1, 1), true),
        (&[1], (0, 0), false),
        (&[1], (1, 1), true),
        (&[1], (1, 2), true),
        (&[1, 1], (1, 1), false),
        (&[1], (2, 1), true),
        (&[1, 1], (2, 1), true),
        (&[2], (1, 1), false),
        (&[2], (1, 2), false),
        (&[1, 2], (1, 9), false),
        (&[1, 2], (3, 1), true),
    ];
    for (log, (term, index), given) in table {
        let mut group = with_logs(&[log, &[], &[]]);
        let last = Position::new(Term(term), Index(index));
        let body = Body::Vote { last, transfer: false };
        group.deliver(Message { from: P2, to: P1, term: Term(5), body });
        assert_eq!(group.node(P1).vote(), given.then_some(P2), "{log:?}, candidate at {last}");
    }
}

#[test]
fn candidates_on_both_ends_of_a_cut_link_elect_one_leader() {
    let mut group = group(3);
    set_cut(&mut group, P1, &[P3]);
    elect(&mut group, P1);
    group.campaign(P3);
    group.run_until_idle();
    assert_ne!(group.node(P3).role(), RoleKind::Leader, "p2 hears p1");
    group.network.heal();
    group.campaign(P3);
    group.run_until_idle();
    assert_eq!((group.node(P1).role(), group.node(P1).term()), (RoleKind::Leader, Term(1)));
    time_out(&mut group, P1);
    group.run_until_idle();
    assert_eq!((group.node(P3).leader(), terms(&group, P3)), (Some(P1), vec![1]));
}

#[test]
fn a_candidate_concedes_and_takes_the_winners_log() {
    let mut group = group(3);
    set_cut(&mut group, P1, &[P2, P3]);
    time_out(&mut group, P1);
    elect(&mut group, P3);
    group.network.heal();
    group.propose(P3, Bytes::from_static(b"a")).expect("it leads");
    time_out(&mut group, P3);
    group.run_until_idle();
    for peer in [P1, P2, P3] {
        let node = group.node(peer);
        assert_eq!((node.leader(), node.commit()), (Some(P3), Index(2)), "{}", node.describe());
    }
}

#[test]
fn the_logs_of_figure_7_become_the_leaders() {
    let leader: &[u64] = &[1, 1, 1, 4, 4, 5, 5, 6, 6, 6];
    let mut group = with_logs(&[
        leader,
        &leader[..9],
        &leader[..4],
        &[1, 1, 1, 4, 4, 5, 5, 6, 6, 6, 6],
        &[1, 1, 1, 4, 4, 5, 5, 6, 6, 6, 7, 7],
        &[1, 1, 1, 4, 4, 4, 4],
        &[1, 1, 1, 2, 2, 2, 3, 3, 3, 3, 3],
    ]);
    // The first try learns of term 7.
    group.campaign(P1);
    group.run_until_idle();
    elect(&mut group, P1);
    assert_eq!(group.node(P1).term(), Term(8));
    for peer in (1..=7).map(PeerId) {
        assert_eq!(terms(&group, peer), [leader, &[8]].concat(), "{peer}");
        assert_eq!(group.replicas[&peer].machine.state().position.index, Index(11), "{peer}");
    }
}

#[test]
fn an_uncommitted_newer_tail_is_replaced_by_an_elected_leader() {
    // TinyKV: p1 won term 1 and never knew of term 2, whose leader p3 has an entry nobody else has.
    let mut group = with_logs(&[&[1], &[1], &[2], &[], &[]]);
    // p3 refuses; its answer tells of term 2, and the next try has the votes of the others.
    group.campaign(P1);
    group.run_until_idle();
    elect(&mut group, P1);
    for peer in (1..=5).map(PeerId) {
        assert_eq!(terms(&group, peer), [1, group.node(P1).term().0], "{peer}");
    }
}

#[test]
fn candidates_draw_their_timeouts_anew() {
    let (mut least, mut most) = (u64::MAX, 0);
    for seed in 0..200 {
        let mut group = Group::new(&Membership::of_voters(3), |config| config.seed += seed << 8);
        time_out(&mut group, P1);
        let waits = group.node(P1).next_deadline().expect("a deadline").since(group.now);
        let waits = u64::try_from(waits.as_micros()).unwrap();
        (least, most) = (least.min(waits), most.max(waits));
    }
    assert!((1_000_000..1_100_000).contains(&least), "{least}");
    assert!((1_900_000..2_000_000).contains(&most), "{most}");
}

#[test]
fn peers_seldom_time_out_at_once() {
    let mut close = 0;
    for seed in 0..1000 {
        let mut group = Group::new(&Membership::of_voters(5), |config| config.seed += seed << 8);
        // Followers in one half of the runs, candidates in the other.
        if seed % 2 == 0 {
            group.now = group.now + Duration::from_secs(5);
            (1..=5).for_each(|peer| group.on_time(PeerId(peer)));
        }
        let deadline = |node: &crate::Node| node.next_deadline().expect("a deadline");
        let nodes = group.replicas.values().flat_map(|replica| &replica.node);
        let mut deadlines: Vec<_> = nodes.map(deadline).collect();
        deadlines.sort_unstable();
        close += u32::from(deadlines[1].since(deadlines[0]) < Duration::from_millis(20));
    }
    assert!(close < 300, "{close} of 1000 times two peers stand within 20 ms");
}

#[test]
fn a_transfer_to_the_leader_itself_or_to_a_stranger_changes_nothing() {
    let mut group = led(3);
    assert_eq!(group.transfer(P1, P1), Err(TransferError::AlreadyLeader));
    assert_eq!(group.transfer(P1, PeerId(9)), Err(TransferError::NotMember));
    group.propose(P1, Bytes::from_static(b"a")).expect("it leads, and hands nothing over");
}

#[test]
fn a_transfer_waits_for_a_slow_follower() {
    let mut group = led(3);
    set_cut(&mut group, P1, &[P3]);
    group.propose(P1, Bytes::from_static(b"a")).expect("it leads");
    group.run_until_idle();
    group.network.heal();
    group.transfer(P1, P3).expect("a voter that was heard of");
    group.run_until_idle();
    time_out(&mut group, P1);
    group.run_until_idle();
    assert_eq!(group.node(P3).role(), RoleKind::Leader, "{}", group.node(P3).describe());
    assert_eq!(group.node(P3).commit(), Index(3));
}

#[test]
fn a_follower_that_needs_a_snapshot_can_lead_once_it_has_it() {
    let mut group = led(3);
    set_cut(&mut group, P3, &[P1, P2]);
    group.propose(P1, Bytes::from_static(b"a")).expect("it leads");
    group.run_until_idle();
    group.compact(P1, Index(2)).expect("it is applied and durable");
    group.network.heal();
    time_out(&mut group, P1);
    // Until the leader knows that a snapshot is needed.
    while group.replicas[&P1].wanted.is_empty() {
        for message in group.network.take_matching(usize::MAX, |_| true) {
            group.deliver(message);
        }
    }
    assert_eq!(group.transfer(P1, P3), Err(TransferError::TargetBehind));
    group.run_until_idle();
    group.transfer(P1, P3).expect("it has the snapshot");
    group.run_until_idle();
    assert_eq!(group.node(P3).role(), RoleKind::Leader);
}

#[test]
fn a_newer_term_ends_a_transfer() {
    let mut group = led(3);
    set_cut(&mut group, P3, &[P1, P2]);
    group.transfer(P1, P3).expect("a voter that was heard of just now");
    let last = Position::new(Term(1), Index(9));
    let body = Body::Vote { last, transfer: true };
    group.deliver(Message { from: P2, to: P1, term: Term(2), body });
    assert_eq!(group.node(P1).role(), RoleKind::Follower);
    group.network.heal();
    group.now = group.now + Duration::from_secs(5);
    // The first try learns of term 2.
    group.campaign(P2);
    group.run_until_idle();
    elect(&mut group, P2);
    assert_eq!(group.marks.get("transfer given up"), Some(&1), "whoever waits is told");
}

#[test]
fn a_follower_names_the_leader_that_could_hand_over() {
    let mut group = led(3);
    let refused = group.transfer(P2, P3);
    assert_eq!(refused, Err(TransferError::NotLeader { leader: Some(P1) }));
}

#[test]
fn a_transfer_back_to_the_leader_is_refused_and_ends_by_its_deadline() {
    let mut group = led(3);
    set_cut(&mut group, P2, &[P1, P3]);
    group.transfer(P1, P2).expect("a voter that was heard of just now");
    assert_eq!(group.transfer(P1, P1), Err(TransferError::AlreadyLeader));
    while !group.marks.contains_key("transfer given up") {
        time_out(&mut group, P1);
        group.run_until_idle();
    }
    group.propose(P1, Bytes::from_static(b"a")).expect("work goes on");
}

#[test]
fn nobody_is_removed_during_a_transfer_nor_made_leader_during_a_removal() {
    let mut group = led(3);
    set_cut(&mut group, P3, &[P1, P2]);
    group.transfer(P1, P3).expect("a voter that was heard of just now");
    let remove = PeerChange::Remove(P3).into();
    assert_eq!(group.change(P1, &remove), Err(ChangeError::Transferring));
    let mut group = led(3);
    group.change(P1, &remove).expect("it leads");
    assert_eq!(group.transfer(P1, P3), Err(TransferError::MembershipChanging));
}

#[test]
fn what_waited_commits_with_the_smaller_quorum() {
    let mut group = led(2);
    set_cut(&mut group, P1, &[P2]);
    group.propose(P1, Bytes::from_static(b"a")).expect("it leads");
    group.run_until_idle();
    assert_eq!(group.node(P1).commit(), Index(1), "p2 has to hold it too");
    group.change(P1, &PeerChange::Remove(P2).into()).expect("it leads");
    group.run_until_idle();
    assert_eq!(group.node(P1).commit(), group.node(P1).last_position().index);
    assert_eq!(group.replicas[&P1].machine.state().payloads, [Bytes::from_static(b"a")]);
}

#[test]
fn a_member_is_not_added_again_nor_the_last_one_removed() {
    let mut group = led(1);
    let last = group.node(P1).last_position();
    let again = PeerChange::AddVoter { peer: P1, store: StoreId(1) };
    assert_eq!(group.change(P1, &again.into()), Err(ChangeError::AlreadyMember(P1)));
    assert_eq!(group.change(P1, &PeerChange::Remove(P1).into()), Err(ChangeError::NoVoters));
    assert_eq!(group.change(P1, &MembershipChange::new([])), Err(ChangeError::Nothing));
    assert_eq!(group.node(P1).last_position(), last, "nothing was appended");
}

#[test]
fn a_removed_peer_does_not_campaign_on_order() {
    let mut group = led(3);
    group.change(P1, &PeerChange::Remove(P3).into()).expect("it leads");
    group.run_until_idle();
    let term = group.node(P1).term();
    group.deliver(Message { from: P1, to: P3, term, body: Body::TimeoutNow });
    group.run_until_idle();
    assert_eq!((group.node(P3).role(), group.node(P3).term()), (RoleKind::Follower, term));
}
