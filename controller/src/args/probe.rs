//! The options of `reelpool probe`.

use clap::Args;
use http::Uri;

/// The options of `reelpool probe`.
#[derive(Debug, Args)]
pub struct ProbeArgs {
    /// What to ask, such as `http://reelpool-operator.reelpool-system:8080/readyz`
    #[arg(value_name = "URL", value_parser = url)]
    pub url: Uri,
    /// For how many seconds to go on asking, at most a day
    #[arg(
        long, value_name = "SECONDS", default_value_t = 60,
        value_parser = clap::value_parser!(u64).range(1..=86_400)
    )]
    pub within: u64,
}

/// A URL of plain HTTP.
fn url(text: &str) -> Result<Uri, String> {
    let url: Uri = text.parse().map_err(|error| format!("it is no URL ({error})"))?;
    match (url.scheme_str(), url.host()) {
        (Some("http"), Some(_)) => Ok(url),
        _ => Err("it must begin with http:// and name a host".to_owned()),
    }
}
