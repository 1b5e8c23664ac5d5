//! How much the client itself costs: an in-process store that answers at once, on its own thread
//! and sockets, and closed-loop callers on the client's one thread.
//!
//! ```sh
//! cargo run --release -p kontiki-client --example echo_rate -- [seconds] [value bytes] [threads]
//! ```
//! `cpu` is the time the client's thread (all of it: callers, core, HTTP/2, sockets) was on a
//! processor, per operation; it is counted only with one client thread.

use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use hdrhistogram::Histogram;
use kontiki_client::{Client, Options};
use kontiki_proto::v1::kv_server::{Kv, KvServer};
use kontiki_proto::v1::{self, admin_server};
use tokio_stream::{Stream, StreamExt};
use tonic::{Request, Response, Status, Streaming};

const CALLERS: [usize; 3] = [1, 64, 1000];

struct Echo {
    address: SocketAddr,
    message_count: Arc<AtomicU64>,
}

fn main() {
    let mut arguments = std::env::args().skip(1).map(|n| n.parse::<usize>().expect("a number"));
    let duration = Duration::from_secs(arguments.next().unwrap_or(3) as u64);
    let value = Bytes::from(vec![7; arguments.next().unwrap_or(256)]);
    let threads = arguments.next().unwrap_or(1);
    let message_count = Arc::new(AtomicU64::new(0));
    let address = start_server(message_count.clone());
    let runtime = match threads {
        1 => tokio::runtime::Builder::new_current_thread().enable_all().build(),
        n => tokio::runtime::Builder::new_multi_thread().worker_threads(n).enable_all().build(),
    };
    let runtime = runtime.expect("a runtime");
    let client = Client::connect([address.to_string()], Options::default());
    let client = runtime.block_on(client).expect("the server is up");
    for operation in ["put", "get"] {
        for caller_count in CALLERS {
            let load = Load { operation, caller_count, duration, value: value.clone() };
            let (messages, cpu) = (message_count.load(Ordering::Relaxed), cpu_us());
            let histogram = runtime.block_on(run(client.clone(), load));
            let messages = message_count.load(Ordering::Relaxed) - messages;
            report(operation, caller_count, duration, &histogram, messages, cpu_us() - cpu);
        }
    }
}

struct Load {
    operation: &'static str,
    caller_count: usize,
    duration: Duration,
    value: Bytes,
}

/// Every caller repeats its operation until time is up; the latencies of all.
async fn run(client: Client, load: Load) -> Histogram<u64> {
    let stop = Arc::new(AtomicBool::new(false));
    let callers: Vec<_> = (0..load.caller_count)
        .map(|caller| {
            let (client, stop, value) = (client.clone(), stop.clone(), load.value.clone());
            let is_put = load.operation == "put";
            tokio::spawn(async move {
                let mut histogram = Histogram::<u64>::new(3).expect("3 digits are allowed");
                let mut number = caller as u64;
                while !stop.load(Ordering::Relaxed) {
                    number = number.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(1);
                    let key = u128::from(number).to_be_bytes();
                    let begin = Instant::now();
                    if is_put {
                        client.put(key, value.clone()).await.expect("the echo answers");
                    } else {
                        client.get(key).await.expect("the echo answers");
                    }
                    let micros = u64::try_from(begin.elapsed().as_nanos()).expect("short");
                    histogram.record(micros).expect("it resizes itself");
                }
                histogram
            })
        })
        .collect();
    tokio::time::sleep(load.duration).await;
    stop.store(true, Ordering::Relaxed);
    let mut all = Histogram::<u64>::new(3).expect("3 digits are allowed");
    for caller in callers {
        all.add(caller.await.expect("no caller panics")).expect("it resizes itself");
    }
    all
}

#[expect(clippy::print_stdout, reason = "the report")]
fn report(
    operation: &str,
    caller_count: usize,
    duration: Duration,
    histogram: &Histogram<u64>,
    messages: u64,
    cpu: f64,
) {
    let count = histogram.len() as f64;
    let micros = |quantile| histogram.value_at_quantile(quantile) as f64 / 1000.0;
    println!(
        "{operation} {caller_count:>4} callers: {:>8.0} ops/s  p50 {:>7.1} µs  p99 {:>8.1} µs  \
         {:>6.1} ops/message  cpu {:>5.2} µs/op",
        count / duration.as_secs_f64(),
        micros(0.5),
        micros(0.99),
        count / messages.max(1) as f64,
        cpu / count,
    );
}

/// Time this thread was on a processor, µs; 0 where the system does not tell.
fn cpu_us() -> f64 {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    let nanos = text.split_whitespace().next().and_then(|n| n.parse::<u64>().ok());
    nanos.unwrap_or(0) as f64 / 1000.0
}

fn start_server(message_count: Arc<AtomicU64>) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("it is bound");
    listener.set_nonblocking(true).expect("a socket can be made non-blocking");
    let serve = move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        runtime.expect("a runtime").block_on(async move {
            let listener = tokio::net::TcpListener::from_std(listener).expect("a listener");
            let incoming = tokio_stream::wrappers::TcpListenerStream::new(listener)
                .map(|socket| socket.inspect(|socket| socket.set_nodelay(true).expect("TCP")));
            let echo = || Echo { address, message_count: message_count.clone() };
            tonic::transport::Server::builder()
                .initial_stream_window_size(16 * 1024 * 1024)
                .initial_connection_window_size(32 * 1024 * 1024)
                .add_service(KvServer::new(echo()).max_decoding_message_size(32 << 20))
                .add_service(admin_server::AdminServer::new(echo()))
                .serve_with_incoming(incoming)
                .await
                .expect("the server runs to the end");
        });
    };
    std::thread::Builder::new().name("echo".into()).spawn(serve).expect("a thread");
    address
}

#[tonic::async_trait]
impl Kv for Echo {
    type StreamStream = std::pin::Pin<Box<dyn Stream<Item = Result<v1::Responses, Status>> + Send>>;

    async fn stream(
        &self,
        request: Request<Streaming<v1::Requests>>,
    ) -> Result<Response<Self::StreamStream>, Status> {
        let message_count = self.message_count.clone();
        let answers = request.into_inner().map(move |requests| {
            message_count.fetch_add(1, Ordering::Relaxed);
            let answers = requests?.batches.into_iter().map(answer).collect();
            Ok(v1::Responses { answers })
        });
        Ok(Response::new(Box::pin(answers)))
    }
}

fn answer(batch: v1::Batch) -> v1::Answer {
    let value = Bytes::from_static(&[7; 256]);
    let body = match batch.body.expect("clients say what they want") {
        v1::batch::Body::Writes(writes) => {
            let done = v1::Outcome { outcome: Some(v1::outcome::Outcome::Done(true)) };
            let outcomes = vec![done; writes.writes.len()];
            v1::answer::Body::Outcomes(v1::WriteOutcomes { outcomes })
        }
        v1::batch::Body::Reads(reads) => {
            let found = v1::read_result::Result::Value(v1::Value { value: Some(value) });
            let results = vec![v1::ReadResult { result: Some(found) }; reads.reads.len()];
            v1::answer::Body::Results(v1::ReadResults { results })
        }
    };
    v1::Answer { id: batch.id, body: Some(body) }
}

#[tonic::async_trait]
impl admin_server::Admin for Echo {
    async fn routes(
        &self,
        _: Request<v1::RoutesRequest>,
    ) -> Result<Response<v1::RoutesResponse>, Status> {
        let peer = v1::RegionPeer { id: 1, store_id: 1, role: 0 };
        let region = v1::Region {
            id: 1,
            range: Some(v1::KeyRange::default()),
            epoch: Some(v1::Epoch { conf_ver: 1, version: 1 }),
            peers: vec![peer],
        };
        Ok(Response::new(v1::RoutesResponse {
            cluster_id: 1,
            stores: vec![v1::Store { id: 1, address: self.address.to_string() }],
            regions: vec![v1::RegionRoute { region: Some(region), leader_store_id: 1, term: 1 }],
        }))
    }

    async fn status(
        &self,
        _: Request<v1::StatusRequest>,
    ) -> Result<Response<v1::StatusResponse>, Status> {
        Err(Status::unimplemented("an echo has no state"))
    }

    async fn transfer_leader(
        &self,
        _: Request<v1::TransferLeaderRequest>,
    ) -> Result<Response<v1::TransferLeaderResponse>, Status> {
        Err(Status::unimplemented("an echo has no peers"))
    }

    async fn hash_state(
        &self,
        _: Request<v1::HashStateRequest>,
    ) -> Result<Response<v1::HashStateResponse>, Status> {
        Err(Status::unimplemented("an echo has no state"))
    }

    async fn bootstrap_info(
        &self,
        _: Request<v1::BootstrapInfoRequest>,
    ) -> Result<Response<v1::BootstrapInfoResponse>, Status> {
        Err(Status::unimplemented("an echo has no cluster"))
    }
}
