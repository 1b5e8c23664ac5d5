//! The operators' calls.

use kontiki_client::Error;
use kontiki_types::{ClusterId, Index, RegionId, StoreId};

use crate::fake::Fake;

#[tokio::test]
async fn the_map_and_the_state_of_stores_are_told() {
    let fake = Fake::start().await;
    let client = fake.client().await;
    let routes = client.routes().await.unwrap();
    assert_eq!((routes.cluster, routes.stores.len()), (ClusterId(7), 3));
    assert_eq!(routes.regions[0].leader, Some(StoreId(1)));
    assert_eq!(client.status(StoreId(3)).await.unwrap().store_id, 3);
    assert_eq!(client.status_of(&fake.address(2)).await.unwrap().store_id, 2);
    assert!(client.bootstrap_info(&fake.address(2)).await.unwrap().bootstrapped);
    let error = client.status(StoreId(9)).await.unwrap_err();
    assert!(matches!(error, Error::Invalid { .. }), "{error}");
}

#[tokio::test]
async fn orders_go_to_the_leader() {
    let fake = Fake::start().await;
    let client = fake.client().await;
    client.transfer_leader(RegionId(1), Some(StoreId(2))).await.unwrap();
    assert_eq!(fake.lock().groups[0].leader, 2);
    assert_eq!(client.hash_state(RegionId(1)).await, Ok(Index(42)));
    assert_eq!(fake.lock().orders, ["hash r1 at s2"]);
    let error = client.hash_state(RegionId(5)).await.unwrap_err();
    assert!(matches!(error, Error::Invalid { .. }), "{error}");
}
