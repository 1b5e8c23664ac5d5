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
        let leader = cli.get_leader(group, self.known(group)?)?;
        self.update_leader(group, Some(leader.clone()));
        Ok(leader)
    }

    /// Ask who the members are, learners too.
    ///
    /// # Errors
    /// As [`RouteTable::refresh_leader`].
    pub fn refresh_configuration(&mut self, cli: &CliService, group: GroupId) -> Result<(), Error> {
        let conf = self.known(group)?;
        let mut members = cli.get_peers(group, conf)?;
        members.extend(cli.get_learners(group, conf)?);
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

    /// Whom to ask. A group of which only the leader was told has nobody to ask.
    fn known(&self, group: GroupId) -> Result<&Configuration, Error> {
        self.configuration(group).filter(|conf| !conf.is_empty()).ok_or(Error::NoGroup)
    }
}

#[cfg(test)]
mod tests {
    use kontiki_types::{RegionId, StoreId};

    use super::*;

    const ONE: GroupId = RegionId(1);
    const TWO: GroupId = RegionId(2);

    fn member(store: u64) -> Member {
        Member::new(StoreId(store), format!("127.0.0.1:{store}"))
    }

    fn table() -> RouteTable {
        let mut table = RouteTable::new();
        for group in [ONE, TWO] {
            table.update_configuration(group, Configuration::new([member(1), member(2)]));
            table.update_leader(group, Some(member(2)));
        }
        table
    }

    #[test]
    fn a_leader_is_known_from_hearsay_until_it_is_no_member() {
        let mut table = table();
        assert_eq!(table.select_leader(ONE), Some(&member(2)));
        table.update_configuration(ONE, Configuration::new([member(2), member(3)]));
        assert_eq!(table.select_leader(ONE), Some(&member(2)), "it is a member still");
        table.update_configuration(ONE, Configuration::new([member(1), member(3)]));
        assert_eq!(table.select_leader(ONE), None);
        table.update_leader(ONE, Some(member(3)));
        assert_eq!(table.select_leader(ONE), Some(&member(3)));
        table.update_leader(ONE, None);
        assert_eq!(table.select_leader(ONE), None);
        assert_eq!(table.select_leader(TWO), Some(&member(2)), "groups are apart");
    }

    #[test]
    fn one_group_is_forgotten_or_all() {
        let mut table = table();
        table.remove_group(ONE);
        assert_eq!((table.configuration(ONE), table.select_leader(ONE)), (None, None));
        assert!(table.configuration(TWO).is_some() && table.select_leader(TWO).is_some());
        table.reset();
        assert_eq!((table.configuration(TWO), table.select_leader(TWO)), (None, None));
    }

    #[test]
    fn a_leader_without_members_is_nobody_to_ask() {
        let mut table = RouteTable::new();
        table.update_leader(ONE, Some(member(1)));
        let cli = CliService::default();
        assert_eq!(table.refresh_leader(&cli, ONE), Err(Error::NoGroup));
        assert_eq!(table.refresh_configuration(&cli, ONE), Err(Error::NoGroup));
    }
}
