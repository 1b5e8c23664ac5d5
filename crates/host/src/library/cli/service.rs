//! JRaft's CliService: changes groups from outside. Blocking; each call asks the stores of the
//! configuration in turn for the leader, and asks it.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use kontiki_codec::admin::{self, Reply, Request};
use kontiki_types::{ClusterId, PeerId, StoreId};

use super::connection::tell;
use crate::library::configuration::{Configuration, Member};
use crate::library::error::Error;
use crate::library::host::GroupId;

/// JRaft's numbers of what another store, or the same one later, may do after all.
const TRY_AGAIN: [i32; 3] = [1002, 1008, 1009];

/// And of what none of them will ever do: what is asked is senseless, or they serve no operators.
const FINAL: [i32; 2] = [1015, 1016];

/// Wait between two attempts.
const RETRY_AFTER: Duration = Duration::from_millis(50);

/// Settings of a [`CliService`].
#[derive(Clone, Debug)]
pub struct CliOptions {
    /// The cluster that is meant. Default 1.
    pub cluster: ClusterId,
    /// How long one answer may take. Default 35 s: a change waits for newcomers to catch up.
    pub timeout: Duration,
    /// How long to look for a leader, and to try again what was refused as busy. Default 10 s.
    pub patience: Duration,
}

impl Default for CliOptions {
    fn default() -> Self {
        let (timeout, patience) = (Duration::from_secs(35), Duration::from_secs(10));
        Self { cluster: ClusterId(1), timeout, patience }
    }
}

/// See the module.
#[derive(Clone, Debug, Default)]
pub struct CliService {
    options: CliOptions,
}

impl CliService {
    /// With these settings.
    pub fn new(options: CliOptions) -> Self {
        Self { options }
    }

    /// Who leads the group.
    ///
    /// # Errors
    /// Nobody of the configuration answers, or knows.
    pub fn get_leader(&self, group: GroupId, conf: &Configuration) -> Result<Member, Error> {
        let began = Instant::now();
        loop {
            let error = match self.look_for_leader(group, conf) {
                Ok(leader) => return Ok(leader),
                Err(error) => error,
            };
            if FINAL.contains(&error.code()) || began.elapsed() >= self.options.patience {
                return Err(error);
            }
            std::thread::sleep(RETRY_AFTER);
        }
    }

    /// Ask everybody once. Where there are several errors, the one to hope with: somebody knows the
    /// group, then somebody cannot be reached, then all refuse.
    fn look_for_leader(&self, group: GroupId, conf: &Configuration) -> Result<Member, Error> {
        let (mut knows, mut fails) = (None, None);
        for member in conf.members().filter(|member| !member.address.is_empty()) {
            match self.ask(&member.address, &Request::Leader(group)) {
                Ok(Reply::Members(found)) => match found.into_iter().next() {
                    Some(leader) => return Ok(located(leader, conf, member)),
                    None => knows = Some(Error::NotLeader { leader: None }),
                },
                Ok(_) => {}
                Err(error) => match &fails {
                    Some(before) if !FINAL.contains(&Error::code(before)) => {}
                    _ => fails = Some(error),
                },
            }
        }
        Err(knows.or(fails).unwrap_or(Error::NotLeader { leader: None }))
    }

    /// The voters of the group.
    ///
    /// # Errors
    /// As [`CliService::get_leader`].
    pub fn get_peers(&self, group: GroupId, conf: &Configuration) -> Result<Vec<Member>, Error> {
        let members = self.members(group, conf, &Request::Members(group))?;
        Ok(members.into_iter().filter(|member| !member.is_learner).collect())
    }

    /// The learners of the group.
    ///
    /// # Errors
    /// As [`CliService::get_leader`].
    pub fn get_learners(&self, group: GroupId, conf: &Configuration) -> Result<Vec<Member>, Error> {
        let members = self.members(group, conf, &Request::Members(group))?;
        Ok(members.into_iter().filter(|member| member.is_learner).collect())
    }

    /// The members that the leader hears, itself included.
    ///
    /// # Errors
    /// As [`CliService::get_leader`].
    pub fn get_alive(&self, group: GroupId, conf: &Configuration) -> Result<Vec<Member>, Error> {
        self.members(group, conf, &Request::Alive(group))
    }

    /// Add a member; a learner, if it says so. Its node must have been created as one that joins.
    ///
    /// # Errors
    /// What the leader answers; as [`CliService::get_leader`].
    pub fn add_peer(
        &self,
        group: GroupId,
        conf: &Configuration,
        member: &Member,
    ) -> Result<(), Error> {
        self.done(group, conf, &Request::Add(group, to_wire(member)))
    }

    /// Remove a member.
    ///
    /// # Errors
    /// As [`CliService::add_peer`].
    pub fn remove_peer(
        &self,
        group: GroupId,
        conf: &Configuration,
        peer: PeerId,
    ) -> Result<(), Error> {
        self.done(group, conf, &Request::Remove(group, peer))
    }

    /// Have exactly these members.
    ///
    /// # Errors
    /// As [`CliService::add_peer`].
    pub fn change_peers(
        &self,
        group: GroupId,
        conf: &Configuration,
        to: &Configuration,
    ) -> Result<(), Error> {
        self.done(group, conf, &Request::ChangePeers(group, all_to_wire(to)))
    }

    /// Have exactly these learners.
    ///
    /// # Errors
    /// As [`CliService::add_peer`].
    pub fn reset_learners(
        &self,
        group: GroupId,
        conf: &Configuration,
        learners: &[Member],
    ) -> Result<(), Error> {
        let learners = learners.iter().map(to_wire).collect();
        self.done(group, conf, &Request::ResetLearners(group, learners))
    }

    /// Give a learner a vote, in one step (JRaft's learner2Follower).
    ///
    /// # Errors
    /// As [`CliService::add_peer`].
    pub fn promote(
        &self,
        group: GroupId,
        conf: &Configuration,
        learner: PeerId,
    ) -> Result<(), Error> {
        self.done(group, conf, &Request::Promote(group, learner))
    }

    /// Hand leadership to this store, or to whoever can take over soonest.
    ///
    /// # Errors
    /// As [`CliService::add_peer`].
    pub fn transfer_leader(
        &self,
        group: GroupId,
        conf: &Configuration,
        to: Option<StoreId>,
    ) -> Result<(), Error> {
        self.done(group, conf, &Request::Transfer(group, to))
    }

    /// Save a snapshot of this member.
    ///
    /// # Errors
    /// What it answers.
    pub fn snapshot(&self, group: GroupId, member: &Member) -> Result<(), Error> {
        self.ask(&member.address, &Request::Snapshot(group)).map(|_| ())
    }

    /// Force these members upon one that remains of a lost majority; see `Node::reset_peers`.
    ///
    /// # Errors
    /// What it answers.
    pub fn reset_peers(
        &self,
        group: GroupId,
        member: &Member,
        to: &Configuration,
    ) -> Result<(), Error> {
        self.ask(&member.address, &Request::ResetPeers(group, all_to_wire(to))).map(|_| ())
    }

    /// Spread the leaders of these groups over the stores of the configuration: no store leads more
    /// than its share, rounded up. Returns who leads what then. Stops at the first failure, as
    /// JRaft does; what was done stays done.
    ///
    /// # Errors
    /// As [`CliService::transfer_leader`].
    pub fn rebalance(
        &self,
        groups: &[GroupId],
        conf: &Configuration,
    ) -> Result<BTreeMap<GroupId, StoreId>, Error> {
        let stores: Vec<StoreId> =
            conf.members().filter(|m| !m.is_learner).map(|m| m.store).collect();
        let share = groups.len().div_ceil(stores.len().max(1));
        let mut leads: BTreeMap<StoreId, usize> = BTreeMap::new();
        let mut leaders = BTreeMap::new();
        for &group in groups {
            let mut store = self.get_leader(group, conf)?.store;
            if leads.get(&store).copied().unwrap_or(0) >= share {
                let least = |store: &&StoreId| leads.get(store).copied().unwrap_or(0);
                if let Some(&next) = stores.iter().min_by_key(least) {
                    self.transfer_leader(group, conf, Some(next))?;
                    store = next;
                }
            }
            *leads.entry(store).or_default() += 1;
            leaders.insert(group, store);
        }
        Ok(leaders)
    }

    fn members(
        &self,
        group: GroupId,
        conf: &Configuration,
        request: &Request,
    ) -> Result<Vec<Member>, Error> {
        match self.ask_leader(group, conf, request)? {
            (Reply::Members(members), asked) => {
                Ok(members.into_iter().map(|m| located(m, conf, &asked)).collect())
            }
            (other, _) => Err(Error::Network(format!("an answer that does not fit: {other:?}"))),
        }
    }

    fn done(&self, group: GroupId, conf: &Configuration, request: &Request) -> Result<(), Error> {
        self.ask_leader(group, conf, request).map(|_| ())
    }

    /// Ask the leader, and again while it is not one, or busy.
    fn ask_leader(
        &self,
        group: GroupId,
        conf: &Configuration,
        request: &Request,
    ) -> Result<(Reply, Member), Error> {
        let began = Instant::now();
        loop {
            let leader = self.get_leader(group, conf)?;
            match self.ask(&leader.address, request) {
                Ok(reply) => return Ok((reply, leader)),
                Err(error) => {
                    let again = TRY_AGAIN.contains(&error.code());
                    if !again || began.elapsed() >= self.options.patience {
                        return Err(error);
                    }
                    std::thread::sleep(RETRY_AFTER);
                }
            }
        }
    }

    fn ask(&self, address: &str, request: &Request) -> Result<Reply, Error> {
        match tell(address, self.options.cluster, request, self.options.timeout)? {
            Reply::Refused { code, message } => {
                Err(Error::Remote { code: i32::try_from(code).unwrap_or(-1), message })
            }
            reply => Ok(reply),
        }
    }
}

/// A member whose address is not told is where the configuration says, or where was asked.
fn located(member: admin::Member, conf: &Configuration, asked: &Member) -> Member {
    let admin::Member { store, peer, mut address, is_learner } = member;
    if address.is_empty() {
        let known = conf.member(store).map(|member| member.address.clone());
        address = known.unwrap_or_else(|| asked.address.clone());
    }
    Member { store, peer, address, is_learner }
}

fn to_wire(member: &Member) -> admin::Member {
    let Member { store, peer, address, is_learner } = member.clone();
    admin::Member { store, peer, address, is_learner }
}

fn all_to_wire(conf: &Configuration) -> Vec<admin::Member> {
    conf.members().map(to_wire).collect()
}
