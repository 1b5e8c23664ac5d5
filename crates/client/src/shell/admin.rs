//! Plain calls: the map, the state of stores, orders of operators.
//!
//! The map may come from any store, so all addresses are tried until one answers. Orders go to the
//! leader; when it moved meanwhile, the map is asked for again.

use std::sync::Arc;
use std::time::Duration;

use kontiki_proto::MESSAGE_BYTES_MAX;
use kontiki_proto::v1;
use kontiki_proto::v1::admin_client::AdminClient;
use kontiki_types::{Index, Moment, RegionId, StoreId};
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Response, Status as GrpcStatus};

use super::state::Shared;
use super::{Shell, endpoint, wire};
use crate::Error;
use crate::admin::{BootstrapInfo, Routes, Status};
use crate::backoff::backoff;

/// What is asked of a store.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Purpose {
    /// To tell something.
    Question,
    /// To do something, so that without an answer nobody knows whether it was done.
    Order,
}

/// How long one store may take to give the map before the next one is asked.
const ROUTES_PATIENCE: Duration = Duration::from_millis(500);

type Admin = AdminClient<Channel>;

impl Shell {
    pub(crate) async fn routes(&self, patience: Duration) -> Result<Routes, Error> {
        let deadline = self.shared.now() + patience;
        self.persist(deadline, || fetch_routes(&self.shared)).await
    }

    pub(crate) async fn status(&self, store: StoreId, patience: Duration) -> Result<Status, Error> {
        let address = self.address(store, patience).await?;
        let (admin, deadline) = self.admin_at(&address, patience)?;
        self.ask(store, Purpose::Question, deadline, status(admin)).await
    }

    pub(crate) async fn status_of(
        &self,
        endpoint: &str,
        patience: Duration,
    ) -> Result<Status, Error> {
        let (admin, deadline) = self.admin_at(endpoint, patience)?;
        self.ask(StoreId(0), Purpose::Question, deadline, status(admin)).await
    }

    pub(crate) async fn bootstrap_info(
        &self,
        endpoint: &str,
        patience: Duration,
    ) -> Result<BootstrapInfo, Error> {
        let (mut admin, deadline) = self.admin_at(endpoint, patience)?;
        let answer = async move { admin.bootstrap_info(v1::BootstrapInfoRequest {}).await };
        self.ask(StoreId(0), Purpose::Question, deadline, answer).await
    }

    pub(crate) async fn transfer_leader(
        &self,
        region: RegionId,
        to: Option<StoreId>,
        patience: Duration,
    ) -> Result<(), Error> {
        let deadline = self.shared.now() + patience;
        let request = v1::TransferLeaderRequest {
            region_id: region.0,
            to_store_id: to.map_or(0, |store| store.0),
        };
        self.persist(deadline, async || {
            let (store, mut admin) = self.leader(region).await?;
            self.ask(store, Purpose::Order, deadline, async {
                admin.transfer_leader(request).await
            })
            .await
        })
        .await
        .map(|_: v1::TransferLeaderResponse| ())
    }

    pub(crate) async fn hash_state(
        &self,
        region: RegionId,
        patience: Duration,
    ) -> Result<Index, Error> {
        let deadline = self.shared.now() + patience;
        let request = v1::HashStateRequest { region_id: region.0 };
        let response: v1::HashStateResponse = self
            .persist(deadline, async || {
                let (store, mut admin) = self.leader(region).await?;
                self.ask(store, Purpose::Order, deadline, async { admin.hash_state(request).await })
                    .await
            })
            .await?;
        Ok(Index(response.index))
    }

    /// Tries again, with pauses, while nobody can serve and there is time.
    async fn persist<T, F>(
        &self,
        deadline: Moment,
        mut attempt: impl FnMut() -> F,
    ) -> Result<T, Error>
    where
        F: Future<Output = Result<T, Error>>,
    {
        let mut tries = 0;
        loop {
            let result = attempt().await;
            let Err(error @ Error::Unavailable { .. }) = result else { return result };
            tries += 1;
            let now = self.shared.now();
            let pause = backoff(tries, now.0);
            if now + pause >= deadline {
                return Err(error);
            }
            tokio::time::sleep(pause).await;
        }
    }

    /// The leader of a region, by a fresh map.
    async fn leader(&self, region: RegionId) -> Result<(StoreId, Admin), Error> {
        let routes = fetch_routes(&self.shared).await?;
        let Some(route) = wire::route_of(&routes, region) else {
            let why = format!("no region {region} in the map; see `kontiki region list`");
            return Err(Error::Invalid { message: why });
        };
        let leader = route.leader.ok_or_else(|| no_leader(region))?;
        let store = routes.stores.iter().find(|store| store.id == leader);
        let store = store.ok_or_else(|| no_leader(region))?;
        Ok((leader, admin(&endpoint::parse(&store.address, &self.shared.options)?)))
    }

    async fn address(&self, store: StoreId, patience: Duration) -> Result<String, Error> {
        if let Some(address) = self.shared.lock().core.cache().address(store) {
            return Ok(address.to_owned());
        }
        let routes = self.routes(patience).await?;
        let known = routes.stores.into_iter().find(|known| known.id == store);
        let message = || format!("no store {store} in the map; see `kontiki store list`");
        known.map(|known| known.address).ok_or_else(|| Error::Invalid { message: message() })
    }

    fn admin_at(&self, address: &str, patience: Duration) -> Result<(Admin, Moment), Error> {
        let endpoint = endpoint::parse(address, &self.shared.options)?;
        Ok((admin(&endpoint), self.shared.now() + patience))
    }

    async fn ask<T>(
        &self,
        store: StoreId,
        purpose: Purpose,
        deadline: Moment,
        answer: impl Future<Output = Result<Response<T>, GrpcStatus>>,
    ) -> Result<T, Error> {
        let patience = deadline.since(self.shared.now());
        match tokio::time::timeout(patience, answer).await {
            Ok(Ok(response)) => Ok(response.into_inner()),
            Ok(Err(status)) => Err(refusal(store, purpose, &status)),
            Err(_) => Err(Error::Deadline {
                outcome_unknown: purpose == Purpose::Order,
                last: format!("{store} did not answer"),
            }),
        }
    }
}

/// The map from whichever store gives it first: those of the user, then all that are known.
pub(super) async fn fetch_routes(shared: &Arc<Shared>) -> Result<Routes, Error> {
    let known: Vec<_> = {
        let state = shared.lock();
        state.core.cache().stores().map(|(_, address)| address.to_owned()).collect()
    };
    let known = known.iter().filter_map(|address| endpoint::parse(address, &shared.options).ok());
    let mut endpoints: Vec<_> = shared.endpoints.iter().cloned().chain(known).collect();
    endpoints.sort_by_key(|endpoint| endpoint.uri().to_string());
    endpoints.dedup_by_key(|endpoint| endpoint.uri().to_string());
    // Not always the same one first: it may be the one that is down.
    let first = usize::try_from(shared.now().0).unwrap_or(0) % endpoints.len();
    endpoints.rotate_left(first);
    let mut troubles = Vec::new();
    for endpoint in endpoints {
        let uri = endpoint.uri().to_string();
        let mut admin = admin(&endpoint);
        let answer = admin.routes(v1::RoutesRequest {});
        match tokio::time::timeout(ROUTES_PATIENCE, answer).await {
            Ok(Ok(routes)) => return Ok(wire::routes(routes.into_inner())),
            Ok(Err(status)) => troubles.push(format!("{uri} {}", status.message())),
            Err(_) => troubles.push(format!("{uri} did not answer")),
        }
    }
    Err(Error::Unavailable { why: troubles.join("; ") })
}

fn admin(endpoint: &Endpoint) -> Admin {
    AdminClient::new(endpoint.connect_lazy()).max_decoding_message_size(MESSAGE_BYTES_MAX)
}

async fn status(mut admin: Admin) -> Result<Response<Status>, GrpcStatus> {
    admin.status(v1::StatusRequest {}).await
}

fn no_leader(region: RegionId) -> Error {
    Error::Unavailable { why: format!("{region} has no known leader") }
}

fn refusal(store: StoreId, purpose: Purpose, status: &GrpcStatus) -> Error {
    let why = status.message().to_owned();
    match status.code() {
        // The leader moved between the map and the order: ask again.
        Code::Unavailable | Code::FailedPrecondition => Error::Unavailable { why },
        Code::InvalidArgument => Error::Invalid { message: why },
        Code::ResourceExhausted => Error::Busy { why },
        Code::DeadlineExceeded => {
            Error::Deadline { outcome_unknown: purpose == Purpose::Order, last: why }
        }
        _ => Error::Refused { store, why },
    }
}
