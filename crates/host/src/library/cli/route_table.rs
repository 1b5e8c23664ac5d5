//! JRaft's RouteTable: what a client of some groups knows of their members and leaders. A value
//! that its user keeps and refreshes; not global.

use std::collections::BTreeMap;

use super::service::CliService;
use crate::library::configuration::{Configuration, Member};
use crate::library::error::Error;
use crate::library::host::GroupId;

/// See the module.
#[derive(Clone, Debug, Default)]
pub struct RouteTable {
    groups: BTreeMap<GroupId, Route>,
}

#[derive(Clone, Debug, Default)]
struct Route {
    conf: Configuration,
    leader: Option<Member>,
}

impl RouteTable {
    /// Nothing is known.
    pub fn new() -> Self {
        Self::default()
    }

    /// These are the members of the group, as far as anybody told. The leader is forgotten unless
    /// it is one of them.
    pub fn update_configuration(&mut self, group: GroupId, conf: Configuration) {
        let route = self.groups.entry(group).or_default();
        let still = route.leader.take().filter(|leader| conf.member(leader.store).is_some());
        *route = Route { conf, leader: still };
    }

    /// The members of the group.
    pub fn configuration(&self, group: GroupId) -> Option<&Configuration> {
        self.groups.get(&group).map(|route| &route.conf)
    }

    /// Who leads, as known: a store that answers that it does not is reason to refresh.
    pub fn select_leader(&self, group: GroupId) -> Option<&Member> {
        self.groups.get(&group)?.leader.as_ref()
    }

    /// Somebody told who leads.
    pub fn update_leader(&mut self, group: GroupId, leader: Option<Member>) {
        self.groups.entry(group).or_default().leader = leader;
    }

    /// Ask who leads.
    ///
    /// # Errors
    /// As [`CliService::get_leader`]; [`Error::NoGroup`] when no member is known.
    pub fn refresh_leader(&mut self, cli: &CliService, group: GroupId) -> Result<Member, Error> {
        let route = self.groups.get_mut(&group).ok_or(Error::NoGroup)?;
        let leader = cli.get_leader(group, &route.conf)?;
        route.leader = Some(leader.clone());
        Ok(leader)
    }

    /// Ask who the members are, learners too.
    ///
    /// # Errors
    /// As [`RouteTable::refresh_leader`].
    pub fn refresh_configuration(&mut self, cli: &CliService, group: GroupId) -> Result<(), Error> {
        let route = self.groups.get(&group).ok_or(Error::NoGroup)?;
        let mut members = cli.get_peers(group, &route.conf)?;
        members.extend(cli.get_learners(group, &route.conf)?);
        self.update_configuration(group, Configuration::new(members));
        Ok(())
    }

    /// Forget a group.
    pub fn remove_group(&mut self, group: GroupId) {
        self.groups.remove(&group);
    }

    /// Forget everything.
    pub fn reset(&mut self) {
        self.groups.clear();
    }
}
