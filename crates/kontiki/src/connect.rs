//! The flags every client command shares, and the connection they lead to.

use std::time::Duration;

use kontiki_client::{Client, Error, Options};

use crate::duration_arg;
use crate::exit::{Code, Failure};
use crate::output::{Form, Out};

/// Where a playground listens, so that a second terminal needs no flags.
const DEFAULT_ENDPOINTS: &str = "127.0.0.1:7401,127.0.0.1:7402,127.0.0.1:7403";

/// How to reach the cluster, and how to print.
#[derive(clap::Args, Clone, Debug)]
pub(crate) struct Connect {
    /// Stores to ask first; one that answers is enough to find the others.
    #[arg(
        long,
        env = "KONTIKI_ENDPOINTS",
        value_name = "HOST:PORT,…",
        value_delimiter = ',',
        default_value = DEFAULT_ENDPOINTS,
        help_heading = "Connection"
    )]
    pub(crate) endpoints: Vec<String>,
    /// How long one operation may take, retries included.
    #[arg(
        long,
        env = "KONTIKI_TIMEOUT",
        value_name = "DURATION",
        value_parser = duration_arg::parse,
        default_value = "5s",
        help_heading = "Connection"
    )]
    pub(crate) timeout: Duration,
    /// How to print; status and bench print tables, everything else plainly, unless told here.
    #[arg(short, long, env = "KONTIKI_OUTPUT", value_name = "FORM", help_heading = "Output")]
    output: Option<Form>,
}

impl Connect {
    /// A client. No connection is made before the first operation.
    pub(crate) async fn client(&self) -> Result<Client, Failure> {
        let options = Options { deadline: self.timeout, ..Options::default() };
        Client::connect(&self.endpoints, options).await.map_err(|error| self.failure(&error))
    }

    /// The output, in the form asked for or the command's own.
    pub(crate) fn out(&self, own_form: Form, hex: bool) -> Out {
        Out::new(self.output.unwrap_or(own_form), hex)
    }

    /// JSON was asked for.
    pub(crate) fn asks_for_json(&self) -> bool {
        self.output == Some(Form::Json)
    }

    /// What a person reads when an operation failed.
    pub(crate) fn failure(&self, error: &Error) -> Failure {
        let failure = failure(error);
        if failure.code == Code::Unavailable {
            let asked = self.endpoints.join(",");
            return failure.hint(format!(
                "does the cluster run? (asked {asked}; `kontiki playground` starts one, \
                 --endpoints or KONTIKI_ENDPOINTS name another, `kontiki status` shows how it is)"
            ));
        }
        failure
    }
}

/// The exit code and the words for an error of the client library.
pub(crate) fn failure(error: &Error) -> Failure {
    let message = error.to_string();
    if error.outcome_unknown() {
        return Failure::new(Code::Unknown, message)
            .hint("read the key to see whether the write took effect");
    }
    let code = match error {
        Error::TooLarge { .. } | Error::NotAtomic { .. } | Error::Invalid { .. } => Code::Usage,
        _ => Code::Unavailable,
    };
    Failure::new(code, message)
}

/// The first key after all keys with this prefix; nothing when there is none.
pub(crate) fn prefix_end(prefix: &[u8]) -> Option<Vec<u8>> {
    let last = prefix.iter().rposition(|&byte| byte != 0xff)?;
    let mut end = prefix[..=last].to_vec();
    end[last] += 1;
    Some(end)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prefix_ends_before_the_next_one() {
        assert_eq!(prefix_end(b"ab"), Some(b"ac".to_vec()));
        assert_eq!(prefix_end(b"a\xff\xff"), Some(b"b".to_vec()));
        assert_eq!(prefix_end(b"\xff"), None);
        assert_eq!(prefix_end(b""), None);
    }

    #[test]
    fn a_write_that_may_have_happened_has_its_own_code() {
        let deadline =
            |outcome_unknown| Error::Deadline { outcome_unknown, last: "no leader".to_owned() };
        assert_eq!(failure(&deadline(true)).code, Code::Unknown);
        assert_eq!(failure(&deadline(false)).code, Code::Unavailable);
        let invalid = Error::Invalid { message: "no".to_owned() };
        assert_eq!(failure(&invalid).code, Code::Usage);
    }
}
