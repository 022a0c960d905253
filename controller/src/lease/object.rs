//! The Lease as an object of the API server.

use std::fmt;
use std::time::Duration;

use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use k8s_openapi::jiff;
use kube::api::{ObjectMeta, PostParams};
use kube::{Api, Client};
use tokio::time::timeout;

use super::evaluate::{LeaseView, Timing};
use crate::said::said;

/// Who writes the lease, in its managed fields.
const FIELD_MANAGER: &str = "reelpool-operator/lease";

/// A lease that was seen: what it says, and the object to write back.
#[derive(Debug, Clone)]
pub struct Sight {
    lease: Lease,
    view: LeaseView,
}

impl Sight {
    fn new(lease: Lease) -> Self {
        let spec = lease.spec.clone().unwrap_or_default();
        let version = format!(
            "{} {}",
            lease.metadata.uid.as_deref().unwrap_or_default(),
            lease.metadata.resource_version.as_deref().unwrap_or_default()
        );
        let view = LeaseView {
            version,
            holder: spec.holder_identity.filter(|holder| !holder.is_empty()),
            duration: spec
                .lease_duration_seconds
                .map(|seconds| Duration::from_secs(u64::try_from(seconds).unwrap_or(0))),
            transitions: spec.lease_transitions.unwrap_or(0),
        };
        Self { lease, view }
    }

    /// What it says.
    pub fn view(&self) -> &LeaseView {
        &self.view
    }
}

/// Why a call did not do what it was to.
#[derive(Debug, PartialEq, Eq)]
pub enum Trouble {
    /// It may go by: one line.
    Passing(String),
    /// It will never be accepted: one line.
    Refused(String),
}

/// How a call failed.
enum CallError {
    Late(Duration),
    Kube(kube::Error),
}

impl From<CallError> for Trouble {
    fn from(error: CallError) -> Self {
        let error = match error {
            CallError::Late(after) => return Self::Passing(format!("no answer within {after:?}")),
            CallError::Kube(error) => error,
        };
        // Permission may come a moment after the process does; these do not come.
        let refused =
            matches!(&error, kube::Error::Api(status) if status.is_invalid() || status.is_not_found());
        let said = said(&error);
        if refused { Self::Refused(said) } else { Self::Passing(said) }
    }
}

/// The lease's place, and how it is read and written.
pub struct LeaseObject {
    api: Api<Lease>,
    namespace: String,
    name: String,
    timing: Timing,
}

impl fmt::Display for LeaseObject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}

impl LeaseObject {
    pub fn new(client: Client, namespace: String, name: String, timing: Timing) -> Self {
        Self { api: Api::namespaced(client, &namespace), namespace, name, timing }
    }

    /// Reads it; `None`: there is none.
    pub async fn get(&self) -> Result<Option<Sight>, Trouble> {
        Ok(self.within(self.api.get_opt(&self.name)).await?.map(Sight::new))
    }

    /// Writes `holder` into the lease that was seen, or makes one when none was; `acquired` is the number of
    /// transitions when it changes hands. `None`: somebody else was first.
    pub async fn write(
        &self,
        seen: Option<Sight>,
        holder: &str,
        acquired: Option<i32>,
    ) -> Result<Option<Sight>, Trouble> {
        let now = MicroTime(jiff::Timestamp::now());
        let change = |spec: &mut LeaseSpec| {
            spec.holder_identity = Some(holder.to_owned());
            spec.lease_duration_seconds = Some(self.timing.lease_seconds());
            spec.renew_time = Some(now.clone());
            if let Some(transitions) = acquired {
                spec.acquire_time = Some(now.clone());
                spec.lease_transitions = Some(transitions);
            }
        };
        match seen {
            Some(seen) => self.replace(seen, change).await,
            None => self.create(change).await,
        }
    }

    /// Writes that nobody holds the lease that was seen. `None`: somebody else was first.
    pub async fn clear(&self, seen: Sight) -> Result<Option<Sight>, Trouble> {
        let now = MicroTime(jiff::Timestamp::now());
        let change = |spec: &mut LeaseSpec| {
            spec.holder_identity = Some(String::new());
            spec.lease_duration_seconds = Some(1);
            spec.renew_time = Some(now);
        };
        self.replace(seen, change).await
    }

    async fn create(&self, change: impl FnOnce(&mut LeaseSpec)) -> Result<Option<Sight>, Trouble> {
        let mut spec = LeaseSpec::default();
        change(&mut spec);
        let metadata = ObjectMeta { name: Some(self.name.clone()), ..ObjectMeta::default() };
        let lease = Lease { metadata, spec: Some(spec) };
        match self.within(self.api.create(&post(), &lease)).await {
            Err(CallError::Kube(kube::Error::Api(status))) if status.code == 409 => Ok(None),
            made => Ok(Some(Sight::new(made?))),
        }
    }

    async fn replace(
        &self,
        seen: Sight,
        change: impl FnOnce(&mut LeaseSpec),
    ) -> Result<Option<Sight>, Trouble> {
        let mut lease = seen.lease;
        // With it the API server refuses the write if it is not the newest; without it, it would take any.
        if lease.metadata.resource_version.as_deref().is_none_or(str::is_empty) {
            return Err(Trouble::Passing("the API server gave no resourceVersion".to_owned()));
        }
        lease.metadata.managed_fields = None;
        change(lease.spec.get_or_insert_default());
        match self.within(self.api.replace(&self.name, &post(), &lease)).await {
            // Somebody else was first, or it was deleted: the next turn looks again.
            Err(CallError::Kube(kube::Error::Api(status))) if matches!(status.code, 404 | 409) => Ok(None),
            written => Ok(Some(Sight::new(written?))),
        }
    }

    async fn within<T>(&self, call: impl Future<Output = kube::Result<T>>) -> Result<T, CallError> {
        match timeout(self.timing.call(), call).await {
            Ok(answer) => answer.map_err(CallError::Kube),
            Err(_) => Err(CallError::Late(self.timing.call())),
        }
    }
}

fn post() -> PostParams {
    PostParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..PostParams::default() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use kube::core::Status;

    #[test]
    fn trouble_is_told_in_the_api_servers_words() {
        let words = "namespaces \"a\" not found";
        let told = |reason, code| {
            let status = Status::failure(words, reason).with_code(code);
            Trouble::from(CallError::Kube(kube::Error::Api(Box::new(status))))
        };
        assert_eq!(told("NotFound", 404), Trouble::Refused(words.to_owned()));
        assert_eq!(told("Forbidden", 403), Trouble::Passing(words.to_owned()));
    }
}
