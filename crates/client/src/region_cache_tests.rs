//! The map against the histories it must survive: splits, merges, late news, lost leaders.

use kontiki_types::{Epoch, Peer, PeerId};

use super::*;

fn region(id: u64, range: &str, version: u64, conf_ver: u64) -> Region {
    let (start, end) = range.split_once("..").unwrap();
    let end = (!end.is_empty()).then(|| Bytes::from(end.to_owned()));
    let peer = |n| Peer { id: PeerId(id * 10 + n), store: StoreId(n), role: PeerRole::Voter };
    Region {
        id: RegionId(id),
        range: KeyRange::new(start.to_owned(), end),
        epoch: Epoch { conf_ver, version },
        peers: (1..=3).map(peer).collect(),
    }
}

fn cache(regions: &[Region]) -> RegionCache {
    let mut cache = RegionCache::default();
    for store in 1..=3 {
        cache.learn_store(StoreId(store), &format!("host{store}:1"));
    }
    for region in regions {
        assert!(cache.learn(region.clone(), None), "{region:?}");
    }
    cache
}

fn owners(cache: &RegionCache, keys: &str) -> String {
    let owner = |key: char| match cache.locate(key.to_string().as_bytes()) {
        Some(known) => known.region.id.0.to_string(),
        None => "-".into(),
    };
    keys.chars().map(owner).collect()
}

#[test]
fn keys_find_their_region() {
    let cache = cache(&[region(1, "b..f", 1, 1), region(2, "f..", 1, 1)]);
    assert_eq!(owners(&cache, "abefz"), "-1122");
    let below = |end: Option<&[u8]>| cache.locate_below(end).map(|known| known.region.id.0);
    assert_eq!(below(None), Some(2));
    assert_eq!(below(Some(b"f")), Some(1));
    assert_eq!(below(Some(b"f\0")), Some(2));
    assert_eq!(below(Some(b"b")), None);
}

#[test]
fn a_split_replaces_its_parent_and_late_news_of_the_parent_is_ignored() {
    let parent = region(1, "..", 1, 1);
    let mut cache = cache(std::slice::from_ref(&parent));
    assert!(cache.learn(region(2, "m..", 2, 1), None));
    assert_eq!(owners(&cache, "az"), "-2", "the parent is gone, its new form not yet known");
    assert!(cache.learn(region(1, "..m", 2, 1), None));
    assert_eq!(owners(&cache, "az"), "12");
    assert!(!cache.learn(parent, None), "an older epoch replaced a newer one");
    assert_eq!(owners(&cache, "az"), "12");
}

#[test]
fn a_merge_replaces_both_and_news_of_an_older_membership_is_ignored() {
    let mut cache = cache(&[region(1, "..m", 2, 1), region(2, "m..", 5, 1)]);
    assert!(cache.learn(region(1, "..", 6, 4), None));
    assert_eq!(owners(&cache, "az"), "11");
    assert!(!cache.learn(region(2, "m..", 5, 1), None));
    assert!(!cache.learn(region(1, "..", 6, 3), None));
    assert!(cache.learn(region(1, "..", 6, 5), None));
}

#[test]
fn a_new_descriptor_keeps_the_leader_and_a_new_region_takes_the_guess() {
    let mut cache = cache(&[region(1, "..", 1, 1)]);
    cache.learn_leader(RegionId(1), StoreId(3), Term(7));
    cache.learn(region(1, "..m", 2, 1), Some(StoreId(2)));
    cache.learn(region(2, "m..", 2, 1), Some(StoreId(2)));
    let leader = |id| cache.region(RegionId(id)).unwrap().leader;
    assert_eq!((leader(1), leader(2)), (Some(StoreId(3)), Some(StoreId(2))));
}

#[test]
fn claims_of_leadership_are_judged_by_term() {
    let mut cache = cache(&[region(1, "..", 1, 1)]);
    let mut claim = |store, term| {
        cache.learn_leader(RegionId(1), StoreId(store), Term(term));
        cache.region(RegionId(1)).unwrap().leader.unwrap().0
    };
    assert_eq!(claim(1, 0), 1, "a guess is better than nothing");
    assert_eq!(claim(2, 5), 2);
    assert_eq!(claim(3, 4), 2, "an older term");
    assert_eq!(claim(3, 0), 2, "a guess against a claim");
    assert_eq!(claim(3, 6), 3);
}

#[test]
fn without_a_leader_the_voters_are_asked_in_turn() {
    let mut cache = cache(&[region(1, "..", 1, 1)]);
    let id = RegionId(1);
    let up = |_| false;
    let ask = |cache: &RegionCache, is_down: &dyn Fn(StoreId) -> bool| {
        cache.candidate(id, ReadMode::Linearizable, 0, is_down).unwrap().0
    };
    let first = ask(&cache, &up);
    cache.distrust(id, StoreId(first));
    let second = ask(&cache, &up);
    cache.distrust(id, StoreId(second));
    let third = ask(&cache, &up);
    let mut all = [first, second, third];
    all.sort_unstable();
    assert_eq!(all, [1, 2, 3]);
    cache.learn_leader(id, StoreId(2), Term(1));
    assert_eq!(ask(&cache, &up), 2);
    assert_ne!(ask(&cache, &|store| store == StoreId(2)), 2, "the leader is down");
    assert_eq!(ask(&cache, &|_| true), 2, "all are down: hope for the leader");
    cache.distrust(id, StoreId(1));
    assert_eq!(ask(&cache, &up), 2, "somebody else failed");
    cache.distrust(id, StoreId(2));
    assert_eq!(cache.region(id).unwrap().leader, None);
}

#[test]
fn stale_reads_go_to_any_replica_that_is_up() {
    let mut learning = region(1, "..", 1, 1);
    learning.peers[2].role = PeerRole::Learner;
    let mut cache = cache(&[learning]);
    cache.learn_leader(RegionId(1), StoreId(1), Term(1));
    let mut seen = [0; 4];
    for draw in 0..3_u64 {
        let draw = draw << 33;
        let ask =
            |down| cache.candidate(RegionId(1), ReadMode::Stale, draw, |s| s == StoreId(down));
        seen[usize::try_from(ask(0).unwrap().0).unwrap()] += 1;
        assert_ne!(ask(2), Some(StoreId(2)));
    }
    assert_eq!(seen, [0, 1, 1, 1]);
}
