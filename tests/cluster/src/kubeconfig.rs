//! Kubeconfig files: where the server is, and who speaks.

use std::path::Path;

use serde_json::json;

use crate::certificates::Issued;

/// Who speaks.
pub(crate) enum User<'a> {
    Certificate(&'a Issued),
    Token(&'a str),
}

/// Writes a kubeconfig; JSON is YAML.
pub(crate) fn write(file: &Path, server: &str, ca: &Path, user: &User) {
    let user = match user {
        User::Certificate(issued) => json!({"client-certificate": issued.cert, "client-key": issued.key}),
        User::Token(token) => json!({"token": token}),
    };
    let config = json!({
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "test", "cluster": {"server": server, "certificate-authority": ca}}],
        "users": [{"name": "test", "user": user}],
        "contexts": [{"name": "test", "context": {"cluster": "test", "user": "test"}}],
        "current-context": "test",
    });
    std::fs::write(file, config.to_string()).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
}
