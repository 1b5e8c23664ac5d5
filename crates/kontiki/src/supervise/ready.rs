//! Waits until a local cluster serves: every store answers, and a leader is known.

use std::time::Duration;

use kontiki_client::admin::Role;
use kontiki_client::{Client, Options};
use kontiki_types::StoreId;

/// How long to wait between two looks.
const LOOK_EVERY: Duration = Duration::from_millis(50);
/// How long one look may take.
const LOOK_DEADLINE: Duration = Duration::from_secs(1);

/// Waits until every endpoint answers and one of the stores leads; answers which.
pub(crate) async fn wait(endpoints: &[String]) -> StoreId {
    loop {
        if let Some(leader) = look(endpoints).await {
            return leader;
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

/// The leader, if every endpoint answers and one of the stores leads.
pub(crate) async fn look(endpoints: &[String]) -> Option<StoreId> {
    let options = Options { deadline: LOOK_DEADLINE, ..Options::default() };
    let client = Client::connect(endpoints, options).await.ok()?;
    let mut leader = None;
    for endpoint in endpoints {
        let status = client.status_of(endpoint).await.ok()?;
        if status.replicas.iter().any(|replica| replica.role() == Role::Leader) {
            leader = Some(StoreId(status.store_id));
        }
    }
    leader
}
