//! Tells a pool what is so: its status, and whether it is ready as an event.

use kube::ResourceExt;
use reelpool_api::{WorkerPool, WorkerPoolStatus};

use super::super::apply::ApplyError;
use super::super::context::Context;
use super::super::drain_key;
use super::super::events::What;
use super::super::state::PoolState;
use super::super::status::{self, Facts};

/// What the pods of somebody else's Deployment must know to be drained: nobody but the operator could tell them.
fn token_hash_of_target(pool: &WorkerPool, context: &Context) -> Option<String> {
    pool.spec.target_ref.as_ref()?.status_port?;
    Some(drain_key::hash(&context.key.token(&pool.uid()?)))
}

/// Tells the pool what is so, if that is news.
pub(super) async fn tell(
    pool: &WorkerPool,
    context: &Context,
    state: &mut PoolState,
    facts: Facts<'_>,
) -> Result<(), ApplyError> {
    let now = context.clock.now();
    let read = pool.resource_version().unwrap_or_default();
    let old = match &state.status {
        // Nobody has written it since.
        Some((status, _)) if state.version_after(&read) != read => status.clone(),
        Some((status, _)) if state.version.as_deref() == Some(&read) => status.clone(),
        _ => pool.status.clone().unwrap_or_default(),
    };
    let new = WorkerPoolStatus {
        drain_token_sha256: token_hash_of_target(pool, context),
        ..status::next(&old, facts)
    };
    let ready = facts.findings.ready();
    if ready.holds.is_some() && state.was_ready != ready.holds {
        let was = std::mem::replace(&mut state.was_ready, ready.holds);
        // That all is well from the beginning is no event.
        if was.is_some() || ready.holds == Some(false) {
            let what = if ready.holds == Some(true) { What::Ready } else { What::NotReady };
            context.events.publish(pool, what, &ready.message);
        }
    }
    if !status::is_news(&old, &new, state.status_age(now)) {
        return Ok(());
    }
    let namespace = pool.namespace().unwrap_or_default();
    let version = state.version_after(&read);
    let written = context.hands(&namespace).tell(&pool.name_any(), &new, version).await?;
    state.version = Some(written);
    state.status = Some((new, now));
    Ok(())
}
