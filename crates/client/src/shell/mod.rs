//! The async part: sockets, tasks and clocks around the pure core. Skeleton.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use kontiki_types::{Index, RegionId, StoreId};

use crate::admin::{BootstrapInfo, Routes, Status};
use crate::ask::{Ask, Got};
use crate::{Error, Options};

pub(crate) struct Shell;

pub(crate) struct Ticket;

fn skeleton<T>() -> Result<T, Error> {
    Err(Error::Unavailable { why: "the client is still a skeleton".into() })
}

#[expect(clippy::unused_async, reason = "skeleton")]
impl Shell {
    pub(crate) async fn connect(_: Vec<String>, _: Options) -> Result<Arc<Self>, Error> {
        skeleton()
    }
    pub(crate) async fn start(&self, _: Ask, _: Duration) -> Result<Ticket, Error> {
        skeleton()
    }
    pub(crate) async fn routes(&self, _: Duration) -> Result<Routes, Error> {
        skeleton()
    }
    pub(crate) async fn status(&self, _: StoreId, _: Duration) -> Result<Status, Error> {
        skeleton()
    }
    pub(crate) async fn status_of(&self, _: &str, _: Duration) -> Result<Status, Error> {
        skeleton()
    }
    pub(crate) async fn bootstrap_info(
        &self,
        _: &str,
        _: Duration,
    ) -> Result<BootstrapInfo, Error> {
        skeleton()
    }
    pub(crate) async fn transfer_leader(
        &self,
        _: RegionId,
        _: Option<StoreId>,
        _: Duration,
    ) -> Result<(), Error> {
        skeleton()
    }
    pub(crate) async fn hash_state(&self, _: RegionId, _: Duration) -> Result<Index, Error> {
        skeleton()
    }
}

impl Future for Ticket {
    type Output = Result<Got, Error>;

    fn poll(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Self::Output> {
        Poll::Ready(skeleton())
    }
}
