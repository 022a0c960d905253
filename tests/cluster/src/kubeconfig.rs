//! Kubeconfig files: where the server is, and who speaks.

use std::path::Path;

use serde_json::json;

use crate::certificates::Issued;

/// Where the server is.
pub(crate) struct Server<'a> {
    pub(crate) url: &'a str,
    /// The name that its certificate must have, where that is not the URL's host.
    pub(crate) name: Option<&'a str>,
}

/// Who speaks.
pub(crate) enum User<'a> {
    Certificate(&'a Issued),
    Token(&'a str),
    /// The server knows who it is without being told.
    Nobody,
}

/// Writes a kubeconfig; JSON is YAML.
pub(crate) fn write(file: &Path, server: &Server, ca: &Path, user: &User) {
    let user = match user {
        User::Certificate(issued) => json!({"client-certificate": issued.cert, "client-key": issued.key}),
        User::Token(token) => json!({"token": token}),
        User::Nobody => json!({}),
    };
    let mut cluster = json!({"server": server.url, "certificate-authority": ca});
    if let Some(name) = server.name {
        cluster["tls-server-name"] = json!(name);
    }
    let config = json!({
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "test", "cluster": cluster}],
        "users": [{"name": "test", "user": user}],
        "contexts": [{"name": "test", "context": {"cluster": "test", "user": "test"}}],
        "current-context": "test",
    });
    std::fs::write(file, config.to_string()).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
}
