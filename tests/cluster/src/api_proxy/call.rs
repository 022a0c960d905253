//! What a request asks of the API server.

use http::{Method, Uri};

/// A request, in the words of the audit log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Call {
    /// What for: `get`, `list`, `watch`, `create`, `update`, `patch`, `delete`.
    pub verb: &'static str,
    /// The resource with its subresource, such as `deployments/scale`; empty for none.
    pub resource: String,
    /// The object's namespace; empty for none.
    pub namespace: String,
    /// The object's name; empty for none.
    pub name: String,
}

impl Call {
    /// Whether it asks for a change.
    #[must_use]
    pub fn is_write(&self) -> bool {
        !matches!(self.verb, "get" | "list" | "watch")
    }

    /// Whether it asks for this, such as `patch` and `deployments/scale`.
    #[must_use]
    pub fn is(&self, verb: &str, resource: &str) -> bool {
        self.verb == verb && self.resource == resource
    }

    /// Reads a request's line. What is not under `/api/v1` or `/apis/GROUP/VERSION` has no resource.
    pub(super) fn of(method: &Method, uri: &Uri) -> Self {
        let mut parts: Vec<&str> = uri.path().split('/').filter(|part| !part.is_empty()).collect();
        let prefix = match parts.first() {
            Some(&"api") => 2,
            Some(&"apis") => 3,
            _ => parts.len(),
        };
        parts.drain(..prefix.min(parts.len()));
        let mut namespace = "";
        // `/namespaces/NAME` itself is an object without a namespace.
        if let ["namespaces", name, _, ..] = parts[..] {
            namespace = name;
            parts.drain(..2);
        }
        let (resource, name, subresource) = match parts[..] {
            [] => ("", "", ""),
            [resource] => (resource, "", ""),
            [resource, name] => (resource, name, ""),
            [resource, name, subresource, ..] => (resource, name, subresource),
        };
        let watches = uri.query().is_some_and(|query| {
            query.split('&').any(|pair| matches!(pair, "watch=true" | "watch=1" | "watch"))
        });
        let verb = match *method {
            Method::POST => "create",
            Method::PUT => "update",
            Method::PATCH => "patch",
            Method::DELETE => "delete",
            _ if watches => "watch",
            _ if name.is_empty() && !resource.is_empty() => "list",
            _ => "get",
        };
        let resource =
            if subresource.is_empty() { resource.to_owned() } else { format!("{resource}/{subresource}") };
        Self { verb, resource, namespace: namespace.to_owned(), name: name.to_owned() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_known_for_what_it_asks() {
        for (method, uri, expected) in [
            (Method::GET, "/api/v1/pods?watch=true&limit=5", ("watch", "pods", "", "")),
            (Method::GET, "/api/v1/namespaces/videos/pods", ("list", "pods", "videos", "")),
            (
                Method::PATCH,
                "/apis/apps/v1/namespaces/videos/deployments/cats/scale?fieldManager=x",
                ("patch", "deployments/scale", "videos", "cats"),
            ),
            (
                Method::PUT,
                "/apis/coordination.k8s.io/v1/namespaces/reelpool-system/leases/reelpool?",
                ("update", "leases", "reelpool-system", "reelpool"),
            ),
            (Method::DELETE, "/api/v1/namespaces/videos", ("delete", "namespaces", "", "videos")),
            (Method::POST, "/apis/events.k8s.io/v1/namespaces/a/events", ("create", "events", "a", "")),
            (Method::GET, "/version", ("get", "", "", "")),
            (Method::GET, "/apis", ("get", "", "", "")),
        ] {
            let call = Call::of(&method, &uri.parse().unwrap());
            let found = (call.verb, call.resource.as_str(), call.namespace.as_str(), call.name.as_str());
            assert_eq!(found, expected, "{method} {uri}");
        }
    }
}
