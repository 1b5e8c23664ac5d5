//! Addresses and the settings of a connection.

use std::time::Duration;

use tonic::transport::Endpoint;

use crate::{Error, Options};

/// Bytes a store may send before it must wait for us: large, so that scans and big values flow.
const STREAM_WINDOW_BYTES: u32 = 16 * 1024 * 1024;
/// Of all streams of one connection.
const CONNECTION_WINDOW_BYTES: u32 = 2 * STREAM_WINDOW_BYTES;
/// How often an idle connection is checked, and how long the check may take.
const KEEP_ALIVE: Duration = Duration::from_secs(2);

/// An endpoint from `host:port` or a URL.
///
/// # Errors
/// [`Error::Invalid`] when it is neither.
pub(super) fn parse(address: &str, options: &Options) -> Result<Endpoint, Error> {
    let url = if address.contains("://") { address.into() } else { format!("http://{address}") };
    let endpoint = Endpoint::from_shared(url).map_err(|error| Error::Invalid {
        message: format!("endpoint {address:?} is not host:port: {error}"),
    })?;
    // Without a port a typing error would ask some other service, on port 80.
    if endpoint.uri().host().is_none() || endpoint.uri().port().is_none() {
        let message = format!("endpoint {address:?} is not host:port");
        return Err(Error::Invalid { message });
    }
    Ok(endpoint
        .connect_timeout(options.connect_timeout)
        .tcp_nodelay(true)
        .initial_stream_window_size(STREAM_WINDOW_BYTES)
        .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
        .http2_keep_alive_interval(KEEP_ALIVE)
        .keep_alive_timeout(KEEP_ALIVE))
}
